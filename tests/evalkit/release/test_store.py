"""The store keeps its promises: whole releases, one current, whoever interrupts and however many promote."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from curate.core.errors import ConfigError, DataError, ProvenanceError
from evalkit.release.bundle import bundle_faults, read_bundle
from evalkit.release.store import ReleaseStore, check
from tests.conftest import ROOT, Run
from tests.evalkit.release.conftest import Work

# Promotes in a child that ends itself with SIGKILL before its Nth change to a file, for N = 1, 2, ... until one gets
# through; after each it looks at the store as any reader would.
KILLED_AT_EACH_STEP = """
import json, os, signal, sys
from pathlib import Path
from evalkit.release.bundle import bundle_faults
from evalkit.release.chain import read_chain
from evalkit.release.store import ReleaseStore

folder, before = Path(sys.argv[1]), sys.argv[2]
chain = read_chain(folder / "second", folder / "results-second", folder / "verdict-second.json")
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "shutil.copyfile", "shutil.rmtree"}
seen, last = 0, None

def watch(event, arguments):
    global seen
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if (event in CHANGES or writes) and "releases" in str(arguments[:2]):
        seen += 1
        if seen == last:
            os.kill(os.getpid(), signal.SIGKILL)

found = []
while not found or found[-1]["killed"]:
    last = len(found) + 1
    child = os.fork()
    if child == 0:
        sys.addaudithook(watch)
        ReleaseStore(folder / "releases").promote(chain)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    store = ReleaseStore(folder / "releases")
    current = store.state().current
    faults = bundle_faults(store.bundle(current), current) if current else []
    found.append({"killed": os.WIFSIGNALED(status), "code": status, "current": current, "faults": faults})
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False], ids=["into an empty store", "over an older release"])
def test_a_kill_at_any_step_leaves_the_old_release_or_the_new_one_whole(work: Work, *, first: bool) -> None:
    old = None if first else ReleaseStore(work.store).promote(work.chain()).record.digest
    work.verdict("second")
    command = [sys.executable, "-c", KILLED_AT_EACH_STEP, str(work.folder), str(old)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert ended.returncode == 0, ended.stderr
    steps = json.loads(ended.stdout)

    assert len(steps) > 20  # it was killed at many places
    assert steps[-1]["code"] == 0
    new = steps[-1]["current"]
    assert new not in (None, old)
    assert {step["current"] for step in steps} == {old, new}
    changes = [step["current"] for step in steps]
    assert changes == sorted(changes, key=lambda current: current == new)  # once new, it stays
    assert not any(step["faults"] for step in steps)
    assert not list(work.store.rglob(".*.tmp"))
    assert len(list((work.store / "bundles").iterdir())) == (1 if first else 2)


def test_promotions_at_once_leave_a_store_with_all_of_them(work: Work, run_cli: Run) -> None:
    code = "import sys; from evalkit.cli.main import main; main()"
    command = [sys.executable, "-c", code, "release", "promote"]
    running = [
        subprocess.Popen(
            [*command, run, "--results", work.results(run), "--verdict", work.verdict(run)],
            cwd=work.folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for run in ("run", "second")
        for _ in range(2)
    ]  # fmt: skip
    for process in running:
        assert b"current" in process.communicate()[1]
        assert process.returncode == 0

    store = ReleaseStore(work.store)
    state = store.state()
    assert len(store.digests()) == 2
    assert state.current == state.history[-1].release
    assert [event.before for event in state.history] == [None, *(event.release for event in state.history[:-1])]
    assert not any(check(store, ()).values())


def test_rollback_goes_down_the_line_of_releases(work: Work) -> None:
    store = ReleaseStore(work.store)
    a = store.promote(work.chain()).record.digest
    b = store.promote(work.chain("second")).record.digest
    assert store.promote(work.chain("second")).was_current

    assert store.rollback(None).record.digest == a
    with pytest.raises(ConfigError, match="no earlier release"):
        store.rollback(None)
    assert store.rollback(b[7:20]).record.digest == b
    assert store.find("previous") == a
    assert [event.action for event in store.state().history] == ["promote", "promote", "rollback", "rollback"]


def test_a_damaged_release_is_not_rolled_back_to_and_is_mended_by_its_run(work: Work) -> None:
    store = ReleaseStore(work.store)
    first = store.promote(work.chain())
    second = store.promote(work.chain("second")).record.digest
    weights = first.folder / "adapter" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")

    with pytest.raises(ProvenanceError, match=r"adapter_model\.safetensors was changed"):
        store.rollback(None)
    assert store.state().current == second
    assert store.promote(work.chain()).record.digest == first.record.digest
    assert bundle_faults(first.folder, first.record.digest) == []


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda bundle: (bundle / "run.json").unlink(), "run.json is missing"),
        (lambda bundle: (bundle / "adapter" / "more.bin").write_bytes(b"x"), "doesn't belong to it"),
        (lambda bundle: (bundle / "release.json").write_text("{}"), "does not fit its digest"),
        (lambda bundle: shutil.rmtree(bundle / "results"), "results/result.json is missing"),
    ],
)
def test_verify_says_what_is_wrong(work: Work, run_cli: Run, damage: object, words: str) -> None:
    done = ReleaseStore(work.store).promote(work.chain())
    assert run_cli("evalkit", "release", "verify", cwd=work.folder).returncode == 0

    damage(done.folder)  # type: ignore[operator]

    ended = run_cli("evalkit", "release", "verify", "--json", cwd=work.folder)
    assert ended.returncode == 4
    assert any(words in fault for fault in json.loads(ended.stdout)[done.record.digest])


def test_a_state_that_was_edited_is_refused(work: Work, run_cli: Run) -> None:
    ReleaseStore(work.store).promote(work.chain())
    path = work.store / "releases.json"
    path.write_text(path.read_text().replace('"promote"', '"premote"'))

    ended = run_cli("evalkit", "release", "show", cwd=work.folder)
    assert ended.returncode == 4
    assert "releases.json" in ended.stderr


def test_the_same_chain_gives_the_same_release(work: Work, tmp_path: Path) -> None:
    first = ReleaseStore(tmp_path / "one").promote(work.chain()).record
    second = ReleaseStore(tmp_path / "two").promote(work.chain()).record
    assert first.digest == second.digest
    assert first.files == second.files


def test_names_that_mean_nothing_or_too_much(work: Work) -> None:
    store = ReleaseStore(work.store)
    with pytest.raises(DataError, match="nothing was released yet"):
        store.find("current")
    store.promote(work.chain())
    for name, words in (("12", "too short"), ("fffffff0", "no release"), ("../../etc", "no release")):
        with pytest.raises(ConfigError, match=words):
            store.find(name)


def test_signatures_are_minisigns_and_are_checked(work: Work, tmp_path: Path, run_cli: Run) -> None:
    minisign = pytest.importorskip("minisign", reason="needs py-minisign, the extra [sign]")
    keys, others = minisign.KeyPair.generate(), minisign.KeyPair.generate()
    for name, key in (("secret", keys.secret_key), ("public", keys.public_key), ("other", others.public_key)):
        (tmp_path / name).write_bytes(bytes(key))
    arguments = ["--results", "results-run", "--verdict", work.verdict(), "--sign", tmp_path / "secret"]

    ended = run_cli("evalkit", "release", "promote", "run", *arguments, cwd=work.folder)

    assert ended.returncode == 0, ended.stderr
    signed = ReleaseStore(work.store).bundle(ReleaseStore(work.store).find(None))
    signature = minisign.Signature.from_file(signed / "release.json.minisig")
    keys.public_key.verify((signed / "release.json").read_bytes(), signature)
    for name, code in (("public", 0), ("other", 4)):
        verified = run_cli("evalkit", "release", "verify", "--public-key", tmp_path / name, cwd=work.folder)
        assert verified.returncode == code
    (signed / "release.json.minisig").unlink()
    unsigned = run_cli("evalkit", "release", "verify", "--public-key", tmp_path / "public", cwd=work.folder)
    assert unsigned.returncode == 4
    assert "not signed" in unsigned.stdout


def test_a_signing_key_with_a_password_takes_it_from_the_environment(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    minisign = pytest.importorskip("minisign", reason="needs py-minisign, the extra [sign]")
    from evalkit.release.signing import PASSWORD, load_key

    key = minisign.KeyPair.generate().secret_key
    key.encrypt("a secret")
    (tmp_path / "secret").write_bytes(bytes(key))
    monkeypatch.delenv(PASSWORD, raising=False)
    with pytest.raises(ConfigError, match="has a password"):
        load_key(tmp_path / "secret")
    monkeypatch.setenv(PASSWORD, "wrong")
    with pytest.raises(ConfigError, match="can't be used"):
        load_key(tmp_path / "secret")
    monkeypatch.setenv(PASSWORD, "a secret")
    done = ReleaseStore(work.store).promote(work.chain(), key=load_key(tmp_path / "secret"))
    everything = b"".join(path.read_bytes() for path in done.folder.rglob("*") if path.is_file())
    assert b"a secret" not in everything


def test_the_commands_as_a_user_types_them(work: Work, run_cli: Run) -> None:
    def promote(run: str, *more: str) -> str:
        arguments = ["--results", work.results(run), "--verdict", work.verdict(run), *more]
        ended = run_cli("evalkit", "release", "promote", run, *arguments, cwd=work.folder)
        assert ended.returncode == 0, ended.stderr
        return str(ended.stdout)

    assert "verdict   pass" in promote("run", "--dry-run")
    assert not work.store.exists()
    first = json.loads(promote("run", "--json"))
    assert read_bundle(Path(work.folder / first["folder"])).digest == first["digest"]
    promote("second")
    shown = run_cli("evalkit", "release", "list", cwd=work.folder)
    assert [line[0] for line in shown.stdout.splitlines()] == [" ", "*"]
    changed = run_cli("evalkit", "release", "diff", "previous", "current", cwd=work.folder)
    assert changed.returncode == 1
    assert "another run and another result and another verdict" in changed.stdout
    assert "max_steps" in changed.stdout
    assert "correct" in changed.stdout
    same = json.loads(run_cli("evalkit", "release", "diff", "current", "current", "--json", cwd=work.folder).stdout)
    assert same["same_items"] is True
    back = run_cli("evalkit", "release", "rollback", "--dry-run", cwd=work.folder)
    assert first["digest"][7:19] in back.stderr
    assert run_cli("evalkit", "release", "rollback", cwd=work.folder).returncode == 0
    current = json.loads(run_cli("evalkit", "release", "show", "--json", cwd=work.folder).stdout)
    assert current["digest"] == first["digest"]
