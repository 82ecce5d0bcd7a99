"""Workspaces are made, measured and removed, whatever a session put into them."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from managedagents_server.tools.base import Place
from managedagents_server.tools.sandbox import Mode, Sandbox, workspace
from support.sandboxes import place_in, sh, usable

pytestmark = pytest.mark.long


@pytest.fixture(params=list(Mode))
async def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return await usable(request.param)


@pytest.fixture
async def place(sandbox: Sandbox) -> AsyncIterator[Place]:
    async with place_in(sandbox) as made:
        yield made


async def test_a_workspace_is_made_when_it_is_first_needed(sandbox: Sandbox, place: Place) -> None:
    assert not place.workspace.exists()
    assert await sandbox.measure(place) == 0
    await sh(sandbox, place, "true")
    assert place.workspace.is_dir()
    assert await sandbox.measure(place) == 0
    await sh(sandbox, place, "mkdir a; touch b")
    assert await sandbox.measure(place) == 8192


async def test_a_workspace_that_its_session_closed_is_opened_again(sandbox: Sandbox, place: Place) -> None:
    await sh(sandbox, place, "chmod 000 ~")
    assert (await sh(sandbox, place, "echo x > y && echo done")).output == "done\n"
    await sh(sandbox, place, "chmod 777 ~")
    await sh(sandbox, place, "true")
    assert place.workspace.stat().st_mode & 0o777 == 0o700


async def test_whatever_is_in_a_workspace_is_removed_with_it(sandbox: Sandbox, place: Place, tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    await sh(
        sandbox,
        place,
        f"ln -s {tmp_path} link; mkdir -p a/b/c; ln -s {tmp_path} a/b/link; touch a/b/c/file; ln a/b/c/file hard; "
        "mkfifo pipe; touch $'new\\nline' $'\\xff' -- -rf; chmod 000 a/b/c a/b a; mkdir .hidden; chmod 400 .hidden",
    )
    await sandbox.remove(place)
    assert not place.workspace.exists()
    assert (tmp_path / "kept").exists()
    await sandbox.remove(place)


async def test_a_tree_deeper_than_any_path_is_removed_and_has_no_size(sandbox: Sandbox, place: Place) -> None:
    await sh(sandbox, place, "true")
    folder = os.open(place.workspace, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=folder)
        above, folder = folder, os.open("deep", os.O_RDONLY, dir_fd=folder)
        os.close(above)
    os.close(folder)
    assert await sandbox.measure(place) == workspace.UNMEASURED
    assert (await sh(sandbox, place, "true")).ended.too_full
    await sandbox.remove(place)
    assert not place.workspace.exists()


async def test_measuring_does_not_follow_links_and_counts_a_file_once(sandbox: Sandbox, place: Place) -> None:
    await sh(sandbox, place, "head -c 1M /dev/zero > big; ln big twice; ln -s / root; truncate -s 1G hole")
    size = await sandbox.measure(place)
    assert 1 << 20 <= size < (1 << 20) + 10 * 4096


async def test_a_folder_that_its_owner_closed_is_no_place_to_hide_things(sandbox: Sandbox, place: Place) -> None:
    said = await sh(sandbox, place, "mkdir closed; head -c 1M /dev/zero > closed/big; chmod 000 closed")
    size = await sandbox.measure(place)
    assert size > 1 << 20
    if os.geteuid() != 0:
        assert said.ended.too_full


async def test_a_link_in_the_place_of_the_outputs_leads_nowhere(sandbox: Sandbox, place: Place, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)  # noqa: ASYNC240
    said = await sh(sandbox, place, f"ln -s {tmp_path} .outputs; seq 100000")
    assert "could not be kept" in said.output
    assert not any(os.scandir(tmp_path))


async def test_a_workspace_that_is_a_link_is_not_used(sandbox: Sandbox, place: Place, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(Exception, match="the workspace cannot be made"):
        await sh(sandbox, replace(place, workspace=tmp_path / "link"), "true")


async def test_a_session_without_isolation_may_remove_its_workspace_or_put_a_link_there(tmp_path: Path) -> None:
    sandbox = await usable(Mode.NONE)
    async with place_in(sandbox) as place:
        place.workspace.parent.chmod(0o777)
        for command in ("rm -rf ~", f"rm -rf ~; ln -s {tmp_path} ~"):
            assert (await sh(sandbox, place, f"{command}; sleep 0.3")).ended.exit_code == 0
            await sandbox.remove(place)
    assert os.access(tmp_path, os.R_OK)


async def test_a_workspace_may_be_given_as_seen_from_where_the_server_stands(
    sandbox: Sandbox, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.workspace.parent)
    said = await sh(sandbox, replace(place, workspace=Path(place.workspace.name)), "echo x > file; cat file")
    assert said.output == "x\n"
