//! The ways out of a cage, one by one: denied in a cage of its own and in a session, and shown to be ways outside.

use crate::common::*;
use actum_sandbox::{Exit, Limits, SessionSpec, Spec, Zygote, ZygoteSpec};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const ESCAPES: &str = include_str!("../support/escapes.py");
/// A worker that makes the attempts it is told of and sends back what came of them.
const WORKER_END: &str = "
def main(fd, config):
    peer = socket.socket(fileno=fd)
    peer.sendall(json.dumps(globals()[config['what']](config['about'])).encode())
";
/// What fails outside as well, for want of rights or of something to act on.
const NO_CONTROL: [&str; 8] = [
    "sysctl_of_namespaces",
    "memory_of_init",
    "memory_device",
    "a_call_of_the_future",
    "canary",
    "crypto_sockets",
    "vsock",
    "x32",
];
/// What only root may do outside.
const ROOT_ONLY: &[&str] = &[
    "bpf",
    "chroot",
    "device_node",
    "fsopen",
    "hard_link_of_the_system",
    "init_module",
    "kexec_load",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_by_handle_at",
    "open_tree",
    "open_tree_attr",
    "packet",
    "perf_event_open",
    "pivot_root",
    "proc_root",
    "quotactl",
    "root_is_written",
    "settimeofday",
    "swapon",
    "sysctl",
    "sysctl_of_the_network",
    "umount",
    "unshare_mount",
    "userfaultfd",
    "write_the_system",
    "clone_pid",
];

/// A host to attack: servers of all kinds, a process, a secret.
struct Host {
    _keep: tempfile::TempDir,
    folder: PathBuf,
    about: Value,
    victim: Child,
    _servers: (UdpSocket, TcpListener, [UnixListener; 3], UnixDatagram),
}

impl Host {
    fn new() -> Host {
        let (keep, path) = folder();
        let folder = path.join("folder");
        fs::create_dir(&folder).unwrap();
        fs::write(path.join("secret"), "the secret").unwrap();
        let mark = path.file_name().unwrap().to_str().unwrap().to_owned();
        let abstract_name = SocketAddr::from_abstract_name(&mark).unwrap();
        let servers = (
            UdpSocket::bind("127.0.0.1:0").unwrap(),
            TcpListener::bind("127.0.0.1:0").unwrap(),
            [
                UnixListener::bind(path.join("unix")).unwrap(),
                UnixListener::bind(folder.join("socket")).unwrap(),
                UnixListener::bind_addr(&abstract_name).unwrap(),
            ],
            UnixDatagram::bind(folder.join("datagrams")).unwrap(),
        );
        let mut victim = Command::new("sh");
        let victim = victim
            .args(["-c", "read line", &mark])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let about = json!({
            "udp": servers.0.local_addr().unwrap().port(),
            "tcp": servers.1.local_addr().unwrap().port(),
            "unix": path.join("unix"),
            "abstract": mark,
            "secret": path.join("secret"),
            "victim": victim.id(),
            "victim_mark": mark,
            "folder": folder,
            "caged": false,
        });
        Host {
            _keep: keep,
            folder,
            about,
            victim,
            _servers: servers,
        }
    }

    fn inside(&self) -> Value {
        let mut about = self.about.clone();
        about["folder"] = "/here".into();
        about["caged"] = true.into();
        about
    }

    fn words(&self, what: &str, about: &Value) -> Vec<String> {
        argv(&["/usr/bin/python3", "-I", "-c", ESCAPES, &about.to_string(), what])
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
    }
}

type Outcomes = BTreeMap<String, String>;

fn in_a_cage(host: &Host, what: &str, limits: Limits) -> Outcomes {
    let spec = Spec {
        limits,
        ..at_work(host.words(what, &host.inside()), &host.folder)
    };
    let done = run(&spec);
    assert_eq!(done.exit, Exit::Code(0), "{}", done.err);
    serde_json::from_str(&done.out).unwrap()
}

fn zygote() -> Zygote {
    // What runs as a program at the end of the file must not run in a module.
    let worker = format!("{ESCAPES}\n{WORKER_END}");
    Zygote::start(
        &launcher(),
        &ZygoteSpec::new(Path::new("/usr/bin/python3"), &worker),
    )
    .unwrap()
}

fn in_a_session(zygote: &Zygote, host: &Host, what: &str, limits: Limits) -> Outcomes {
    let mut about = host.inside();
    about["folder"] = "/work".into();
    let config = json!({"what": what, "about": about});
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let spec = SessionSpec {
        limits,
        ..SessionSpec::workspace(&host.folder, config)
    };
    let mut forked = zygote.fork(&spec, theirs.into()).unwrap();
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert_eq!(forked.wait().unwrap(), Exit::Code(0));
    serde_json::from_str(&text).unwrap()
}

fn all_denied(outcomes: &Outcomes) {
    let open: Vec<_> = outcomes
        .iter()
        .filter(|(_, got)| !got.starts_with("denied"))
        .collect();
    assert!(
        open.is_empty() && outcomes.len() > 60,
        "{} attempts, not denied: {open:#?}",
        outcomes.len()
    );
}

#[test]
fn the_attempts_are_ways_to_something_outside_a_cage() {
    let host = Host::new();
    let words = host.words("attempts", &host.about);
    let output = Command::new(&words[0]).args(&words[1..]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let found: Outcomes = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    let expected = |name: &str| !NO_CONTROL.contains(&name) && (is_root() || !ROOT_ONLY.contains(&name));
    let denied = |name: &str| found[name].starts_with("denied");
    let wrong: Vec<_> = found
        .iter()
        .filter(|(name, _)| expected(name) && denied(name))
        .collect();
    assert!(
        wrong.is_empty(),
        "denied even outside, so they show nothing: {wrong:#?}"
    );
}

#[test]
fn no_attempt_gets_out_of_a_cage_of_its_own() {
    let host = Host::new();
    all_denied(&in_a_cage(&host, "attempts", Limits::default()));
    assert!(
        fs::read_dir(&host.folder).unwrap().count() == 2,
        "nothing is left behind"
    );
}

#[test]
fn no_attempt_gets_out_of_a_session() {
    let (host, zygote) = (Host::new(), zygote());
    all_denied(&in_a_session(
        &zygote,
        &host,
        "attempts",
        Limits {
            processes: None,
            ..Limits::default()
        },
    ));
}

fn small() -> Limits {
    Limits {
        address_space_bytes: Some(1 << 30),
        cpu_seconds: Some(60),
        processes: Some(64),
        open_files: Some(100),
        file_bytes: Some(8 << 20),
        memory_bytes: Some(1 << 29),
        tmp_bytes: 4 << 20,
    }
}

fn all_limited(found: &Outcomes) {
    let expected = [
        ("disk .", "EFBIG"),
        ("disk /dev/shm", "ENOSPC"),
        ("disk /tmp", "ENOSPC"),
        ("files", "EMFILE"),
        ("forks", "EAGAIN"),
        ("memory", "MemoryError"),
    ];
    let expected: Outcomes = expected
        .map(|(name, got)| (name.to_owned(), got.to_owned()))
        .into();
    assert_eq!(*found, expected);
}

#[test]
fn floods_run_into_limits_in_a_cage_and_in_a_session() {
    let (host, zygote) = (Host::new(), zygote());
    all_limited(&in_a_cage(&host, "floods", small()));
    all_limited(&in_a_session(&zygote, &host, "floods", small()));
}

#[test]
fn a_program_of_root_gains_nothing_by_its_mode() {
    let spec = Spec::pure(shell(
        "su -c true; cat /proc/self/status | grep -E 'Uid|NoNew'; mount | grep -c nosuid",
    ));
    let done = run(&spec);
    assert!(done.out.contains("NoNewPrivs:\t1"), "{done:?}");
    assert!(!done.out.contains("\t0\t0\t0\t0"), "{done:?}");
}

#[test]
fn writing_past_a_memory_limit_of_the_whole_is_the_end_where_a_group_holds() {
    let limits = Limits {
        memory_bytes: Some(64 << 20),
        ..Limits::default()
    };
    let spec = Spec {
        limits,
        ..Spec::pure(python("print(len(b'x' * (256 << 20)))"))
    };
    let (caged, mut out, _err) = start(&spec, "").unwrap();
    let grouped = caged
        .enforced()
        .state(actum_sandbox::Layer::Cgroup)
        .unwrap()
        .in_force;
    let mut text = String::new();
    out.read_to_string(&mut text).unwrap();
    assert_eq!(text.is_empty(), grouped, "{text}");
}

#[test]
fn the_same_holds_for_an_ordinary_user() {
    again_as_an_ordinary_user(module_path!(), "the_same_holds_for_an_ordinary_user");
}
