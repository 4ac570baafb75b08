//! The ways out of a cage, tried through the real daemon by `shell.run` and by code of a session; what each profile
//! shows; that the daemon's own data is never seen; what happens where the machine cannot build the cage.

use crate::common::{Daemon, actum, block_on};
use crate::withstand_support::*;
use serde_json::{Value, json};
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The attempts that the sandbox itself is tested with: over sixty.
const ESCAPES: &str = include_str!("../../../sandbox/tests/support/escapes.py");
const SECRET: &str = "s3cr3t-of-the-daemon-8Kq2";

/// Servers of all kinds and a process to attack.
struct Host {
    about: Value,
    victim: Child,
    _servers: (UdpSocket, TcpListener, [UnixListener; 3], UnixDatagram),
}

impl Host {
    fn new(ground: &Ground) -> Host {
        std::fs::write(ground.root.join("secret"), "the secret").unwrap();
        let mark = fresh(&format!("escapes-{}", std::process::id()));
        let name = SocketAddr::from_abstract_name(&mark).unwrap();
        let servers = (
            UdpSocket::bind("127.0.0.1:0").unwrap(),
            TcpListener::bind("127.0.0.1:0").unwrap(),
            [
                UnixListener::bind(ground.root.join("unix")).unwrap(),
                UnixListener::bind(ground.open.join("socket")).unwrap(),
                UnixListener::bind_addr(&name).unwrap(),
            ],
            UnixDatagram::bind(ground.open.join("datagrams")).unwrap(),
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
            "unix": ground.root.join("unix"),
            "abstract": mark,
            "secret": ground.root.join("secret"),
            "victim": victim.id(),
            "victim_mark": mark,
            "folder": ground.open,
            "caged": true,
        });
        Host {
            about,
            victim,
            _servers: servers,
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ended = self.victim.kill();
        let _reaped = self.victim.wait();
    }
}

fn all_denied(outcomes: &Value) {
    let outcomes = outcomes.as_object().unwrap();
    let open: Vec<_> = outcomes
        .iter()
        .filter(|(_, got)| !got.as_str().unwrap().starts_with("denied"))
        .collect();
    assert!(
        open.is_empty() && outcomes.len() > 60,
        "{} attempts, not denied: {open:#?}",
        outcomes.len()
    );
}

#[test]
fn no_attempt_gets_out_of_a_program_or_of_a_session() {
    let ground = Ground::new();
    let host = Host::new(&ground);
    std::fs::write(ground.open.join("escapes.py"), ESCAPES).unwrap();
    block_on(async {
        let client = ground.daemon.client().await;
        session_of(&client, "t", json!({"workspace": ground.open})).await;
        let script = ground.open.join("escapes.py");
        let argv = json!([
            "/usr/bin/python3",
            "-I",
            script,
            host.about.to_string(),
            "attempts"
        ]);
        let ran = ask(&client, "shell.run", "t", json!({"argv": argv})).await;
        assert_eq!(ran["outcome"], "succeeded", "{ran}");
        all_denied(&serde_json::from_str(ran["data"]["stdout"]["text"].as_str().unwrap()).unwrap());

        session_of(&client, "s", json!({"kind": "python", "workspace": ground.open})).await;
        let mut about = host.about.clone();
        about["folder"] = "/work".into();
        let text = format!(
            "import runpy, json\nwhole = runpy.run_path('escapes.py', run_name='escapes')\n\
             whole['attempts'](json.loads({:?}))",
            about.to_string()
        );
        all_denied(&value_of(&code(&client, "s", &text).await));
        assert_eq!(value_of(&code(&client, "s", "1 + 1").await), 2);
    });
}

/// A data directory with a secret in a folder that is granted whole, and a program that looks for it everywhere.
fn hunts(data: &Path, open: &Path) -> (Daemon, String) {
    std::fs::create_dir_all(data.join("secrets")).unwrap();
    let secret = data.join("secrets/KEY");
    std::fs::write(&secret, SECRET).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let daemon = dev(data, open, &[], &[]);
    // Taken apart, so that the hunter does not find itself.
    let (a, b) = SECRET.split_at(6);
    let hunter = format!(
        "import os, sys\nfound = []\nbig = ('proc', 'sys', 'usr', 'dev', 'lib')\nfor root in ('', '/proc/self/root', '/proc/1/root'):\n    for path, folders, files in os.walk(root + '/'):\n        folders[:] = [f for f in folders if f not in big and not os.path.join(path, f).endswith(sys.base_prefix)]\n        for name in files:\n            try:\n                whole = open(os.path.join(path, name), 'rb').read(100_000)\n            except OSError:\n                continue\n            if (b'{a}' + b'{b}') in whole or name in ('daemon.json', 'KEY'): found.append(os.path.join(path, name))\n"
    );
    (daemon, hunter)
}

#[test]
fn the_data_of_the_daemon_is_seen_under_no_profile_also_where_it_lies_in_a_granted_folder() {
    let keep = tempfile::tempdir().unwrap();
    let open = keep.path().canonicalize().unwrap().join("open");
    let data = open.join("data");
    let (daemon, hunter) = hunts(&data, &open);
    block_on(async {
        let client = daemon.client().await;
        let profiles = [
            json!({}),
            json!({"profile": "pure"}),
            json!({"profile": "read", "folders": [{"path": open}]}),
            json!({"profile": "workspace", "workspace": open}),
            json!({"profile": "custom", "folders": [{"path": open, "write": true}]}),
        ];
        for (n, profile) in profiles.into_iter().enumerate() {
            let mut spec = profile.clone();
            session_of(&client, &format!("t{n}"), spec.clone()).await;
            let argv = json!(["/usr/bin/python3", "-I", "-c", format!("{hunter}print(found)")]);
            let ran = ask(&client, "shell.run", &format!("t{n}"), json!({"argv": argv})).await;
            assert_eq!(ran["data"]["stdout"]["text"], "[]\n", "{profile}: {ran}");
            spec["kind"] = "python".into();
            session_of(&client, &format!("s{n}"), spec).await;
            let found = code(&client, &format!("s{n}"), &format!("{hunter}found")).await;
            assert_eq!(value_of(&found), json!([]), "{profile}: {found}");
        }
        // As a folder of its own it is granted to nobody.
        session_of(&client, "d", json!({"kind": "python", "workspace": data})).await;
        let refused = code(&client, "d", "1").await;
        assert_eq!(refused["error"]["code"], "NOT_GRANTED", "{refused}");
        let refused = ask(
            &client,
            "shell.run",
            "t0",
            json!({"argv": ["ls"], "cwd": data.join("secrets")}),
        )
        .await;
        assert_eq!(refused["error"]["code"], "NOT_GRANTED", "{refused}");
    });
}

#[test]
fn data_deep_inside_a_granted_folder_cannot_be_moved_to_where_it_is_not_covered() {
    // A bug once: the empty folder covered the data where it was, and `mv` of a folder above it took the data to where the
    // next cage did not look.
    let keep = tempfile::tempdir().unwrap();
    let open = keep.path().canonicalize().unwrap().join("open");
    let data = open.join("project/inner/data");
    let (daemon, hunter) = hunts(&data, &open);
    block_on(async {
        let client = daemon.client().await;
        session_of(&client, "t", json!({"workspace": open})).await;
        let moves = "mv project elsewhere; mv project/inner project/other; mv project/inner/data project/inner/past; \
                     mkdir -p project/inner/data; ls -A project/inner/data";
        let ran = ask(&client, "shell.run", "t", json!({"argv": ["sh", "-c", moves]})).await;
        assert_eq!(ran["data"]["stdout"]["text"], "", "{ran}");
        assert!(data.join("secrets/KEY").exists(), "the data was moved: {ran}");
        let argv = json!(["/usr/bin/python3", "-I", "-c", format!("{hunter}print(found)")]);
        let ran = ask(&client, "shell.run", "t", json!({"argv": argv})).await;
        assert_eq!(ran["data"]["stdout"]["text"], "[]\n", "{ran}");
    });
}

#[test]
fn a_profile_shows_what_it_must_and_lets_write_only_what_it_says() {
    let ground = Ground::new();
    std::fs::create_dir(ground.open.join("a")).unwrap();
    std::fs::create_dir(ground.open.join("b")).unwrap();
    std::fs::write(ground.open.join("a/file"), "of a").unwrap();
    std::fs::write(ground.open.join("b/file"), "of b").unwrap();
    let (a, b) = (ground.open.join("a"), ground.open.join("b"));
    // Where it can read and where it can write.
    let probe = "import os\ndef tell(path):\n    try: text = open(path + '/file').read()\n    except OSError as e: text = e.strerror\n    try:\n        open(path + '/made', 'w').close(); wrote = True\n    except OSError: wrote = False\n    return [text, wrote]\n";
    let absent = json!(["No such file or directory", false]);
    block_on(async {
        let client = ground.daemon.client().await;
        let cases = [
            (
                "pure",
                json!({"profile": "pure"}),
                absent.clone(),
                absent.clone(),
                absent.clone(),
            ),
            (
                "read",
                json!({"profile": "read", "folders": [{"path": a}]}),
                absent.clone(),
                json!(["of a", false]),
                absent.clone(),
            ),
            (
                "workspace",
                json!({"workspace": a, "folders": [{"path": b}]}),
                json!(["of a", true]),
                json!(["of b", false]),
                absent.clone(),
            ),
            (
                "custom",
                json!({"profile": "custom", "folders": [{"path": a, "write": true}, {"path": b}]}),
                absent.clone(),
                json!(["of a", true]),
                json!(["of b", false]),
            ),
        ];
        for (name, spec, work, one, two) in cases {
            let mut of_python = spec.clone();
            of_python["kind"] = "python".into();
            session_of(&client, name, of_python).await;
            let text = format!("{probe}[tell(p) for p in ('/work', '/folders/1', '/folders/2')]");
            let told = value_of(&code(&client, name, &text).await);
            assert_eq!(told, json!([work, one, two]), "{name}");
            // Programs see the same folders where they are on the host.
            let programs = format!("{name}-programs");
            session_of(&client, &programs, spec).await;
            let text = format!("{probe}import json; print(json.dumps([tell({a:?}), tell({b:?})]))");
            let argv = json!(["/usr/bin/python3", "-I", "-c", text]);
            let ran = ask(&client, "shell.run", &programs, json!({"argv": argv})).await;
            assert_eq!(ran["outcome"], "succeeded", "{name}: {ran}");
            let told: Value = serde_json::from_str(ran["data"]["stdout"]["text"].as_str().unwrap()).unwrap();
            let shown: Vec<Value> = [work, one, two]
                .into_iter()
                .filter(|told| *told != absent)
                .collect();
            let expected = (0..2).map(|n| shown.get(n).unwrap_or(&absent).clone());
            assert_eq!(told, expected.collect::<Value>(), "{name}");
        }
    });
}

#[test]
fn a_workspace_is_what_its_path_leads_to_when_it_is_used() {
    let ground = Ground::new();
    let at = |name: &str| ground.open.join(name);
    std::fs::create_dir(at("real")).unwrap();
    std::fs::create_dir(at("swapped")).unwrap();
    std::fs::create_dir(ground.root.join("closed")).unwrap();
    std::fs::write(ground.root.join("closed/secret"), "x").unwrap();
    symlink("real", at("link")).unwrap();
    symlink(ground.root.join("closed"), at("out")).unwrap();
    block_on(async {
        let client = ground.daemon.client().await;
        session_of(
            &client,
            "link",
            json!({"kind": "python", "workspace": at("link")}),
        )
        .await;
        value_of(&code(&client, "link", "open('made', 'w').write('x')").await);
        assert!(at("real/made").exists());
        for (name, path) in [("out", at("out")), ("dots", at("real/../../closed"))] {
            session_of(&client, name, json!({"kind": "python", "workspace": path})).await;
            let refused = code(&client, name, "1").await;
            assert_eq!(refused["error"]["code"], "NOT_GRANTED", "{refused}");
        }
        for kind in ["python", "commands"] {
            session_of(&client, kind, json!({"kind": kind, "workspace": at("swapped")})).await;
        }
        std::fs::remove_dir(at("swapped")).unwrap();
        symlink(ground.root.join("closed"), at("swapped")).unwrap();
        let refused = code(&client, "python", "1").await;
        assert_eq!(refused["error"]["code"], "NOT_GRANTED", "{refused}");
        let refused = ask(
            &client,
            "shell.run",
            "commands",
            json!({"argv": ["cat", "secret"]}),
        )
        .await;
        assert_eq!(refused["error"]["code"], "NOT_GRANTED", "{refused}");
    });
}

#[test]
fn a_weaker_cage_is_asked_for_by_name_and_says_what_it_is() {
    for level in ["partial", "none"] {
        let ground = Ground::with(&["--sandbox", level], &[]);
        block_on(async {
            let client = ground.daemon.client().await;
            python(&client, "s").await;
            let ran = code(&client, "s", "6 * 7").await;
            assert_eq!(value_of(&ran), 42, "{level}");
            let told = &ran["data"]["sandbox"]["level"];
            // A machine that has everything gives everything, also where less would do.
            assert!(*told == level || (level == "partial" && *told == "full"), "{ran}");
            session_of(&client, "t", json!({})).await;
            let ran = ask(&client, "shell.run", "t", json!({"argv": ["echo", "ran"]})).await;
            assert_eq!(ran["data"]["stdout"]["text"], "ran\n", "{ran}");
        });
    }
}

#[test]
fn where_a_layer_is_missing_nothing_runs_and_the_layer_is_named() {
    // User namespaces are forbidden below this one; the daemon is root of it, but without the right to mount.
    let keep = tempfile::tempdir().unwrap();
    let root = keep.path().canonicalize().unwrap();
    std::fs::create_dir(root.join("open")).unwrap();
    let forbid = "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", forbid, "sh"]);
    let binary = actum();
    command.arg(binary.get_program());
    command.args(["dev", "--listen", "127.0.0.1:0", "--json", "--grant-file"]);
    command.arg(format!("{}:rw", root.join("open").display()));
    command.arg("--data").arg(root.join("data"));
    command.stdin(Stdio::null());
    let daemon = Daemon::spawn(command, &root.join("data"));
    block_on(async {
        let client = daemon.client().await;
        session_of(
            &client,
            "s",
            json!({"kind": "python", "workspace": root.join("open")}),
        )
        .await;
        let refused = code(&client, "s", "open('ran', 'w')").await;
        named(&refused);
        session_of(&client, "t", json!({"workspace": root.join("open")})).await;
        let refused = ask(&client, "shell.run", "t", json!({"argv": ["touch", "ran"]})).await;
        named(&refused);
    });
    assert_eq!(
        std::fs::read_dir(root.join("open")).unwrap().count(),
        0,
        "something ran"
    );
}

fn named(refused: &Value) {
    assert_eq!(refused["outcome"], "failed", "{refused}");
    assert_eq!(refused["error"]["code"], "SANDBOX_UNAVAILABLE", "{refused}");
    let told = refused["error"]["message"].as_str().unwrap();
    assert!(
        told.contains("user_namespace") || told.contains("user namespace"),
        "{told}"
    );
}

#[test]
fn the_same_holds_for_an_ordinary_user() {
    again_as_an_ordinary_user(module_path!(), "the_same_holds_for_an_ordinary_user");
}
