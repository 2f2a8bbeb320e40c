"""Markdown tables."""


def markdown_table(header, rows):
    """Rows of strings as a table."""
    return (
        "\n".join(
            f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)
        )
        + "\n"
    )
