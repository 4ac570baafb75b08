//! What the tests share: running a program in a cage to its end, and folders that any user may be given.

use actum_sandbox::{Caged, Exit, Launcher, Refusal, Spec};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// A launcher whose helper is the small program of the tests.
pub fn launcher() -> Launcher {
    Launcher::with_helper(env!("CARGO_BIN_EXE_actum-sandbox-test-helper"))
}

/// What came of a program.
#[derive(Debug)]
pub struct Done {
    pub exit: Exit,
    pub out: String,
    pub err: String,
}

/// Starts a program with pipes; gives back this side of them.
pub fn start(spec: &Spec, stdin: &str) -> Result<(Caged, std::io::PipeReader, std::io::PipeReader), Refusal> {
    let (input, mut feed) = std::io::pipe().unwrap();
    let (out, out_theirs) = std::io::pipe().unwrap();
    let (err, err_theirs) = std::io::pipe().unwrap();
    let stdio = [input.as_fd(), out_theirs.as_fd(), err_theirs.as_fd()];
    let caged = launcher().launch(spec, stdio)?;
    feed.write_all(stdin.as_bytes()).unwrap();
    Ok((caged, out, err))
}

/// Runs a program to its end.
pub fn run_with(spec: &Spec, stdin: &str) -> Result<Done, Refusal> {
    let (mut caged, mut out, mut err) = start(spec, stdin)?;
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        err.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    });
    let mut text = Vec::new();
    out.read_to_end(&mut text).unwrap();
    let out = String::from_utf8_lossy(&text).into_owned();
    let err = errors.join().unwrap();
    Ok(Done {
        exit: caged.wait().unwrap(),
        out,
        err,
    })
}

/// Runs a program to its end without input.
pub fn run(spec: &Spec) -> Done {
    run_with(spec, "").unwrap()
}

/// A list of arguments.
pub fn argv(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A line for a shell.
pub fn shell(script: &str) -> Vec<String> {
    argv(&["sh", "-c", script])
}

/// A program for the system's Python.
pub fn python(script: &str) -> Vec<String> {
    argv(&["/usr/bin/python3", "-I", "-c", script])
}

/// A new folder whose path goes through no symbolic link.
pub fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    (folder, path)
}

/// A program that writes a folder at `/here`.
pub fn at_work(argv: Vec<String>, folder: &Path) -> Spec {
    Spec::workspace(argv, folder, Path::new("/here"))
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs all tests of a module (`module_path!()`) but the calling one again, as an ordinary user, if this is root.
pub fn again_as_an_ordinary_user(module: &str, but: &str) {
    use std::os::unix::process::CommandExt;
    if !is_root() {
        return;
    }
    let tests = tests_of(module, but);
    let (_keep, tmp) = folder();
    std::os::unix::fs::chown(&tmp, Some(1000), Some(1000)).unwrap();
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command
        .env("TMPDIR", &tmp)
        .env("HOME", &tmp)
        .current_dir(&tmp)
        .uid(1000)
        .gid(1000);
    let output = command
        .args(["--test-threads", "1", "--exact"])
        .args(&tests)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains(&format!("test result: ok. {} passed", tests.len())),
        "{text}"
    );
}

/// The tests of a module of this program, but one, as the harness names them.
fn tests_of(module: &str, but: &str) -> Vec<String> {
    let (_, module) = module.split_once("::").unwrap();
    let listed = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--list", "--format", "terse"])
        .output()
        .unwrap();
    let tests: Vec<String> = String::from_utf8(listed.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .filter(|test| {
            let name = test.strip_prefix(module).and_then(|rest| rest.strip_prefix("::"));
            name.is_some_and(|name| name != but)
        })
        .map(str::to_owned)
        .collect();
    assert!(!tests.is_empty(), "no tests in `{module}`");
    tests
}
