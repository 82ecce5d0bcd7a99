"""Skills are found, checked and told of; nothing leads out of them."""

import os
from pathlib import Path

import pytest
import yaml

from managedagents_server.tools.skills import InvalidSkill, Skills, UnknownSkill

FRONT = "---\nname: {name}\ndescription: {description}\n---\n\n# How\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "skills"
    made.mkdir()
    return made


def put(directory: Path, name: str, content: str | bytes | None = None, description: str = "Fills in forms.") -> Path:
    folder = directory / name
    folder.mkdir(exist_ok=True)
    if content is None:
        content = FRONT.format(name=name, description=description)
    (folder / "SKILL.md").write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def test_the_prompt_lists_name_description_and_path_in_the_order_of_the_agent(directory: Path) -> None:
    put(directory, "pdf-forms")
    put(directory, "a1", description='"Adds: numbers"')
    skills = Skills(directory)
    prompt = skills.prompt(["pdf-forms", "a1", "pdf-forms"])
    assert prompt.endswith(
        "\n\n- pdf-forms: Fills in forms.\n  /skills/pdf-forms/SKILL.md\n- a1: Adds: numbers\n  /skills/a1/SKILL.md\n"
    )
    assert prompt == Skills(directory).prompt(["pdf-forms", "a1"])
    assert "# How" not in prompt


def test_the_prompt_names_folders_as_the_tools_see_them(directory: Path) -> None:
    put(directory, "a")
    assert Skills(directory).prompt(["a"], {"a": "/srv/a"}).endswith("- a: Fills in forms.\n  /srv/a/SKILL.md\n")


def test_without_skills_there_is_nothing_to_tell(directory: Path) -> None:
    assert Skills(directory).prompt([]) == ""
    assert Skills(None).prompt([]) == ""
    assert Skills(None).folders([]) == {}


def test_folders_are_given_by_name_and_absolute(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(directory, "a")
    put(directory, "b")
    monkeypatch.chdir(directory.parent)
    assert Skills(Path("skills")).folders(["b", "a"]) == {"b": directory / "b", "a": directory / "a"}


@pytest.mark.parametrize(
    "name",
    [
        "other",
        "",
        ".",
        "..",
        "../skills/a",
        "a/../a",
        "/etc",
        "A",
        "a_b",
        "-a",
        "a-",
        "a--b",
        "a\n",
        "a\0",
        "ä",
        "a" * 65,
    ],
)
def test_what_is_no_name_of_a_folder_is_unknown(directory: Path, name: str) -> None:
    put(directory, "a")
    skills = Skills(directory)
    for ask in (skills.check, lambda name: skills.prompt([name]), lambda name: skills.folders([name])):
        with pytest.raises(UnknownSkill, match="there is no skill"):
            ask(name)


def test_without_a_directory_every_skill_is_unknown(tmp_path: Path) -> None:
    for directory in (None, tmp_path / "none"):
        with pytest.raises(UnknownSkill):
            Skills(directory).check("a")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("# No front\n", "does not begin with a line"),
        ("", "does not begin with a line"),
        ("---\nname: a\ndescription: d\n", "does not end with a line"),
        ("---\n" + "x: y\n" * 5000 + "---\n", "does not end with a line `---` in the first 8,192 bytes"),
        ("---\n- a\n---\n", "no name and description"),
        ("---\n---\n", "no name and description"),
        ("---\nname: [\n---\n", "no YAML"),
        ("---\nname: a\n\tdescription: d\n---\n", "no YAML"),
        ("---\nname: " + "[" * 5_000 + "\n---\n", "no YAML"),
        ("---\ndescription: d\n---\n", "not that of its folder"),
        ("---\nname: b\ndescription: d\n---\n", "not that of its folder"),
        ("---\nname: a\n---\n", "description in its SKILL.md must be text"),
        ("---\nname: a\ndescription: ' '\n---\n", "1 to 1,024 characters"),
        ("---\nname: a\ndescription: [d]\n---\n", "1 to 1,024 characters"),
        (FRONT.format(name="a", description="d" * 1025), "1 to 1,024 characters"),
        (b"---\nname: a\ndescription: \xff\n---\n", "not UTF-8"),
        (FRONT.format(name="a", description="d").encode() + b"\xe4", "not UTF-8"),
        (FRONT.format(name="a", description="d") + "x" * 300_000, "larger than 262,144 bytes"),
    ],
)
def test_an_invalid_file_is_refused_and_the_message_says_why(directory: Path, content: str | bytes, fault: str) -> None:
    put(directory, "a", content)
    skills = Skills(directory)
    with pytest.raises(InvalidSkill, match="the skill a is not valid") as checked:
        skills.check("a")
    assert fault in str(checked.value)
    with pytest.raises(InvalidSkill):
        skills.prompt(["a"])


@pytest.mark.parametrize("shape", ["[{}]", "{{<<: [{}]}}"])
def test_yaml_that_multiplies_itself_takes_neither_time_nor_memory(directory: Path, shape: str) -> None:
    lines = ["---", "l0: &l0 {x: lol}"]
    lines += [f"l{n}: &l{n} " + shape.format(", ".join([f"*l{n - 1}"] * 9)) for n in range(1, 12)]
    put(directory, "a", "\n".join([*lines, "name: *l11", "description: *l11", "---", ""]))
    with pytest.raises(InvalidSkill, match="not that of its folder"):
        Skills(directory).check("a")


def test_python_objects_in_yaml_are_not_made(directory: Path, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    put(directory, "a", f"---\nname: a\ndescription: !!python/object/apply:os.mkdir ['{touched}']\n---\n")
    with pytest.raises(InvalidSkill):
        Skills(directory).check("a")
    assert not touched.exists()


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff---\r\nname: a\r\ndescription: Fills in forms.\r\n---\r\nBody",
        "---\nname: 'a'\nlicense: MIT\nmetadata:\n  version: 1\ndescription: |\n  Fills in\n\n  forms.\n---",
        "--- \nname: a\ndescription: >-\n  Fills in\n  forms.\n--- \n---\n",
    ],
)
def test_the_ways_in_which_a_front_can_be_written(directory: Path, content: str) -> None:
    put(directory, "a", content)
    assert "- a: Fills in forms.\n" in Skills(directory).prompt(["a"])


def test_a_description_cannot_look_like_another_skill(directory: Path) -> None:
    put(directory, "a", "---\nname: a\ndescription: |\n  One\n  - b: Two\n---\n")
    assert "- a: One - b: Two\n" in Skills(directory).prompt(["a"])


def test_what_is_changed_is_told_anew(directory: Path) -> None:
    file = put(directory, "a", description="First.") / "SKILL.md"
    skills = Skills(directory)
    assert "First." in skills.prompt(["a"])
    put(directory, "a", description="Second, and longer.")
    assert "Second, and longer." in skills.prompt(["a"])
    file.unlink()
    with pytest.raises(InvalidSkill, match=r"has no SKILL\.md"):
        skills.prompt(["a"])


def test_what_is_not_changed_is_parsed_once(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(directory, "a")
    skills = Skills(directory)
    prompt = skills.prompt(["a"])
    monkeypatch.delattr(yaml, "load")
    assert skills.prompt(["a"]) == prompt


def test_a_file_that_is_a_link_is_refused(directory: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.md"
    elsewhere.write_text(FRONT.format(name="a", description="d"))
    (directory / "a").mkdir()
    (directory / "a/SKILL.md").symlink_to(elsewhere)
    with pytest.raises(InvalidSkill, match="link"):
        Skills(directory).check("a")
    with pytest.raises(InvalidSkill, match="link"):
        Skills(directory).prompt(["a"])


def test_a_folder_that_is_a_link_is_refused(directory: Path, tmp_path: Path) -> None:
    put(tmp_path, "a")
    (directory / "a").symlink_to(tmp_path / "a")
    skills = Skills(directory)
    for ask in (skills.check, lambda name: skills.prompt([name]), lambda name: skills.folders([name])):
        with pytest.raises(InvalidSkill, match="its folder is a link"):
            ask("a")


def test_a_link_deep_inside_that_leads_out_is_refused_and_one_that_stays_is_not(directory: Path) -> None:
    folder = put(directory, "a")
    (folder / "deep/er").mkdir(parents=True)
    (folder / "deep/er/in").symlink_to("../../SKILL.md")
    skills = Skills(directory)
    skills.check("a")
    (folder / "deep/er/out").symlink_to("../../../../secret")
    with pytest.raises(InvalidSkill, match="'out' is a link that leads out"):
        skills.folders(["a"])


def test_links_that_lead_round_in_a_circle_end(directory: Path) -> None:
    folder = put(directory, "a")
    (folder / "one").symlink_to("two")
    (folder / "two").symlink_to("one")
    (folder / "self").symlink_to(".")
    Skills(directory).check("a")


def test_pipes_are_refused_and_nobody_waits_for_them(directory: Path) -> None:
    folder = put(directory, "a")
    os.mkfifo(folder / "pipe")
    with pytest.raises(InvalidSkill, match="neither a file nor a folder"):
        Skills(directory).check("a")
    (directory / "b").mkdir()
    os.mkfifo(directory / "b/SKILL.md")
    with pytest.raises(InvalidSkill, match="is no file"):
        Skills(directory).prompt(["b"])


def test_a_folder_of_too_many_files_is_refused(directory: Path) -> None:
    folder = put(directory, "a")
    for number in range(2000):
        (folder / f"{number}").touch()
    with pytest.raises(InvalidSkill, match="more than 2,000"):
        Skills(directory).check("a")
