"""A small part of the fuzz run; `python tests/fuzz_images.py` is the whole."""

import fuzz_images


def test_mutated_images_are_refused_or_read_as_by_pillow():
    found = [case for _, _, case in fuzz_images.run(600)]
    read, refused = (
        [case for case in found if "difference" in case],
        [case for case in found if "refused" in case],
    )
    assert len(found) == 600 == len(read) + len(refused)  # no crash
    assert (
        len(read) > 100
        and len(refused) > 100
        and all(case["difference"] <= 1 for case in read)
    )


def test_the_judge_sees_a_difference_and_a_crash(monkeypatch):
    """A check that could not fail would be none."""
    name, content = "rgb.png", fuzz_images.bases()["rgb.png"]
    decode = fuzz_images.decode
    monkeypatch.setattr(
        fuzz_images,
        "decode",
        lambda *arguments: decode(*arguments).point(lambda level: min(level + 2, 255)),
    )
    assert fuzz_images.judge(name, content)["difference"] == 2
    monkeypatch.setattr(fuzz_images.sys, "executable", "false")
    assert [case for _, _, case in fuzz_images.run(2)] == [{"crash": 1}] * 2
