"""Building blocks of reports: PNG, charts, HTML, Markdown. They know no VAE."""
