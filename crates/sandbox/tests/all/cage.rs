//! A program in a cage of its own: what it sees, how it is told of, how it ends.

use crate::common::*;
use actum_sandbox::{Exit, Layer, Level, Mount, Profile, Refusal, Spec};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

#[test]
fn a_program_runs_at_level_full_and_its_output_comes_back() {
    let spec = Spec::pure(shell("echo hello; echo oops >&2; exit 7"));
    let (mut caged, _out, _err) = start(&spec, "").unwrap();
    assert_eq!(caged.enforced().level, Level::Full, "{:#?}", caged.enforced());
    assert_eq!(caged.wait().unwrap(), Exit::Code(7));
    assert_eq!(caged.wait().unwrap(), Exit::Code(7));
    let done = run(&spec);
    assert_eq!(
        (done.out.as_str(), done.err.as_str(), done.exit),
        ("hello\n", "oops\n", Exit::Code(7))
    );
}

#[test]
fn what_developers_run_works() {
    let (_keep, path) = folder();
    let tries = [
        (
            "/usr/bin/python3 -c 'import ssl, multiprocessing as m; print(m.Pool(2).map(abs, [-1, 2]))'",
            "[1, 2]\n",
        ),
        (
            "cd /here && git init -q . && git config user.email a@b && git config user.name n && echo x > f && git add f \
          && git commit -qm made && git log --format=%s | cat",
            "made\n",
        ),
        (
            "cd /here && echo 'int main(void) { return 3; }' > a.c && gcc a.c && ./a.out; echo $?",
            "3\n",
        ),
        ("bash -c 'cat <(echo bash)'", "bash\n"),
        ("hostname; id -un; pwd", "actum\nactum\n/here\n"),
    ];
    for (script, out) in tries {
        let done = run(&at_work(shell(script), &path));
        assert_eq!(
            (done.out.as_str(), done.exit),
            (out, Exit::Code(0)),
            "{script}: {}",
            done.err
        );
    }
    if Path::new("/usr/bin/node").exists() {
        let script = "require('child_process').execSync('echo node').toString().trim()";
        assert_eq!(run(&at_work(argv(&["node", "-p", script]), &path)).out, "node\n");
    }
}

#[test]
fn what_is_written_belongs_to_the_owner_of_the_folder() {
    let (_keep, path) = folder();
    let owners: &[u32] = if is_root() {
        &[0, 1000, 61_000]
    } else {
        &[rustix::process::geteuid().as_raw()]
    };
    for owner in owners {
        let inside = path.join(owner.to_string());
        fs::create_dir(&inside).unwrap();
        if is_root() {
            std::os::unix::fs::chown(&inside, Some(*owner), Some(*owner)).unwrap();
        }
        let done = run(&at_work(
            shell("mkdir a && echo hello > a/b && stat -c %u a/b && id -u"),
            &inside,
        ));
        assert_eq!(done.exit, Exit::Code(0), "{owner}: {}", done.err);
        let ids: Vec<&str> = done.out.lines().collect();
        assert_eq!(ids[0], ids[1], "inside, they belong to the cage's user");
        assert_eq!(fs::metadata(inside.join("a/b")).unwrap().uid(), *owner);
        assert_eq!(fs::read_to_string(inside.join("a/b")).unwrap(), "hello\n");
        fs::remove_dir_all(inside.join("a")).unwrap();
    }
}

#[test]
fn what_cannot_be_started_is_told_with_what_is_missing() {
    let (_keep, path) = folder();
    fs::write(path.join("script"), "#!/no/such\n").unwrap();
    fs::write(path.join("text"), "text").unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path.join("script"), fs::Permissions::from_mode(0o755)).unwrap();
    let program = |name: &str| match run_with(&at_work(argv(&[name]), &path), "").unwrap_err() {
        Refusal::Program { program, reason } => (program, reason),
        other => panic!("{other:?}"),
    };
    assert_eq!(program("no-such-program").1, "no program of this name in PATH");
    assert!(program("/no/such").1.starts_with("there is no such file"));
    assert!(program("/here/script").1.starts_with("it names an interpreter"));
    assert!(program("/here/text").1.starts_with("not allowed to execute"));
    let mut nowhere = at_work(argv(&["true"]), &path);
    nowhere.cwd = "/no/such".into();
    let refusal = run_with(&nowhere, "").unwrap_err();
    assert!(
        refusal
            .to_string()
            .starts_with("working directory `/no/such` does not exist"),
        "{refusal}"
    );
    nowhere.cwd = "/here/text".into();
    assert!(matches!(
        run_with(&nowhere, "").unwrap_err(),
        Refusal::Directory { .. }
    ));
}

#[test]
fn a_folder_that_is_not_there_or_lies_behind_a_link_is_refused() {
    let (_keep, path) = folder();
    std::os::unix::fs::symlink("/etc", path.join("link")).unwrap();
    for (host, word) in [
        ("absent", "No such file"),
        ("link", "symbolic link"),
        ("link/ssl", "symbolic link"),
    ] {
        let refusal = run_with(&at_work(argv(&["true"]), &path.join(host)), "").unwrap_err();
        assert!(
            matches!(&refusal, Refusal::Folder { reason, .. } if reason.contains(word)),
            "{refusal:?}"
        );
    }
}

#[test]
fn the_exact_end_of_a_program_is_told() {
    for (script, exit) in [
        ("exit 0", Exit::Code(0)),
        ("exit 255", Exit::Code(255)),
        ("kill -TERM $$", Exit::Signal(15)),
        ("kill -KILL $$", Exit::Signal(9)),
        ("kill -SEGV $$", Exit::Signal(11)),
    ] {
        assert_eq!(run(&Spec::pure(shell(script))).exit, exit, "{script}");
    }
}

#[test]
fn what_a_program_leaves_behind_ends_with_it_and_its_pipes_close() {
    let done = run(&Spec::pure(shell(
        "(setsid sleep 1000; echo late) & sleep 1000 & echo done",
    )));
    assert_eq!((done.out.as_str(), done.exit), ("done\n", Exit::Code(0)));
}

#[test]
fn input_arguments_and_a_large_environment_arrive_exactly() {
    let mut spec = Spec::pure(argv(&[
        "sh",
        "-c",
        "cat; printf '%s|' \"$@\"; printf %s \"$BIG\" | wc -c; env | wc -l",
    ]));
    spec.argv.extend(argv(&["sh", "", "a b", "ä\n"]));
    spec.env = [
        ("BIG".to_owned(), "x".repeat(100_000)),
        ("PATH".to_owned(), "/usr/bin".to_owned()),
    ]
    .into();
    spec.env
        .extend((0..2_000).map(|n| (format!("V{n}"), "y".repeat(200))));
    let done = run_with(&spec, "in\n").unwrap();
    assert_eq!(done.out, "in\n|a b|ä\n|100000\n2003\n", "{}", done.err);
}

#[test]
fn the_environment_holds_only_what_is_allowed_and_brought() {
    let brought = [("MINE".to_owned(), "1".to_owned())].into();
    let env = actum_sandbox::environment(&brought);
    assert_eq!((env["HOME"].as_str(), env["MINE"].as_str()), ("/tmp", "1"));
    let allowed = |name: &String| {
        matches!(name.as_str(), "PATH" | "HOME" | "LANG" | "TZ" | "MINE") || name.starts_with("LC_")
    };
    assert!(env.keys().all(allowed), "{env:?}");
}

#[test]
fn folders_are_seen_where_they_were_asked_for_with_the_access_they_were_given() {
    let ((_a, read), (_b, write)) = (folder(), folder());
    fs::write(read.join("f"), "read").unwrap();
    fs::write(read.join("single"), "file").unwrap();
    let mut spec = at_work(
        shell("cat /in/deep/f /one; echo x > /here/y; echo x > /in/deep/y; echo x > /one"),
        &write,
    );
    spec.mounts.push(Mount::read(&read, "/in/deep"));
    spec.mounts.push(Mount::read(read.join("single"), "/one"));
    let done = run(&spec);
    assert_eq!(done.out, "readfile");
    assert_eq!(fs::read_to_string(write.join("y")).unwrap(), "x\n");
    assert!(!read.join("y").exists() && fs::read_to_string(read.join("single")).unwrap() == "file");
    spec.mounts = vec![Mount::write(&write, "/here"), Mount::read(&read, "/here/absent")];
    let refusal = run_with(&spec, "").unwrap_err();
    assert!(matches!(refusal, Refusal::Folder { .. }), "{refusal:?}");
    assert!(
        !write.join("absent").exists(),
        "nothing is made in a folder of the host"
    );
    spec.profile = Profile::Read;
    assert!(matches!(run_with(&spec, "").unwrap_err(), Refusal::Spec { .. }));
}

#[test]
fn killing_the_cage_ends_a_whole_tree() {
    let spec = Spec::pure(shell("(setsid sleep 1000 &) ; echo up; sleep 1000"));
    let (mut caged, mut out, _err) = start(&spec, "").unwrap();
    let mut up = [0; 3];
    std::io::Read::read_exact(&mut out, &mut up).unwrap();
    assert!(caged.end(std::time::Duration::from_secs(60)).unwrap());
    // The last holder of the pipe is gone.
    assert_eq!(std::io::Read::read(&mut out, &mut up).unwrap(), 0);
    assert_eq!(caged.wait().unwrap(), Exit::Signal(9));
}

#[test]
fn a_dropped_cage_leaves_nothing_running() {
    let (caged, mut out, _err) = start(&Spec::pure(shell("sleep 1000 & wait")), "").unwrap();
    let pid = caged.pid().unwrap();
    drop(caged);
    assert_eq!(std::io::Read::read(&mut out, &mut [0]).unwrap(), 0);
    assert_eq!(
        rustix::process::test_kill_process(pid),
        Err(rustix::io::Errno::SRCH)
    );
}

#[test]
fn the_probe_tells_each_layer_of_this_host() {
    let report = launcher().probe();
    assert_eq!(report.refused, None);
    assert_eq!(report.layers.len(), Layer::ALL.len());
    for layer in &report.layers {
        assert!(layer.in_force || layer.hint.is_some(), "{layer:?}");
        assert!(
            layer.in_force || !layer.required,
            "this machine gives every required layer: {layer:?}"
        );
    }
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["level"], "full");
}

#[test]
fn a_layer_that_is_missing_is_seen_and_refused_unless_it_is_allowed_by_name() {
    use Layer::{Capabilities, Landlock, NetNamespace, Proc, Rlimits, Seccomp};
    let mut spec = Spec::pure(argv(&["true"]));
    let nothing = fs::File::open("/dev/null").unwrap();
    let stdio = [std::os::fd::AsFd::as_fd(&nothing); 3];
    for layer in [Landlock, Proc, Seccomp, Capabilities, Rlimits] {
        let refusal = launcher().sabotaged(&[layer]).launch(&spec, stdio).unwrap_err();
        assert!(
            matches!(&refusal, Refusal::Unavailable { layer: found, .. } if *found == layer),
            "{refusal:?}"
        );
        assert!(refusal.hint().is_some());
    }
    for layer in [Landlock, Proc] {
        spec.require = Level::Partial(vec![layer]);
        let mut caged = launcher().sabotaged(&[layer]).launch(&spec, stdio).unwrap();
        assert_eq!(caged.enforced().level, Level::Partial(vec![layer]));
        assert_eq!(caged.wait().unwrap(), Exit::Code(0));
    }
    spec.require = Level::Partial(vec![NetNamespace]);
    assert!(launcher().sabotaged(&[Landlock]).launch(&spec, stdio).is_err());
}

#[test]
fn a_program_that_is_no_helper_is_told_apart() {
    let nothing = fs::File::open("/dev/null").unwrap();
    let other = actum_sandbox::Launcher::with_helper("/bin/true");
    let refusal = other
        .launch(
            &Spec::pure(argv(&["true"])),
            [std::os::fd::AsFd::as_fd(&nothing); 3],
        )
        .unwrap_err();
    assert!(matches!(refusal, Refusal::Helper { .. }), "{refusal:?}");
}

#[test]
fn the_same_holds_for_an_ordinary_user() {
    again_as_an_ordinary_user(module_path!(), "the_same_holds_for_an_ordinary_user");
}
