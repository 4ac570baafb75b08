//! Files and requests through the real daemon, asked for by somebody hostile: out of what is granted, to where nothing
//! may go, for secrets that are bound elsewhere.

use crate::common::block_on;
use crate::withstand_support::*;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

const SECRET: &str = "b0und-s3cr3t-Tq91xLw";

/// A server that keeps what it is asked, and answers with a redirect where one is named.
struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                let mut part = [0; 4096];
                while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                    match stream.read(&mut part) {
                        Ok(0) | Err(_) => break,
                        Ok(count) => head.extend_from_slice(&part[..count]),
                    }
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let to = head
                    .split_once("to=")
                    .and_then(|(_, rest)| rest.split_whitespace().next());
                let answer = match to {
                    Some(to) => format!(
                        "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    ),
                    None => {
                        // Says back what it was asked, secrets and all.
                        let body = format!("asked: {head}");
                        format!(
                            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                            body.len()
                        )
                    }
                };
                kept.lock().unwrap().push(head);
                let _gone = stream.write_all(answer.as_bytes());
            }
        });
        Server { port, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn code_of(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or("none")
}

#[test]
fn no_spelling_of_an_address_and_no_proxy_reaches_what_is_not_granted() {
    let (inner, proxy) = (Server::start(), Server::start());
    let through = format!("http://127.0.0.1:{}", proxy.port);
    let env = [
        ("HTTP_PROXY", through.as_str()),
        ("http_proxy", &through),
        ("HTTPS_PROXY", &through),
        ("ALL_PROXY", &through),
        ("all_proxy", &through),
    ];
    // Every public host is granted, under this port too.
    let any = format!("*:{}", inner.port);
    let ground = Ground::with(&["--grant-http", &any, "--grant-http", "*"], &env);
    block_on(async {
        let client = ground.daemon.client().await;
        python(&client, "s").await;
        let hosts = [
            "127.0.0.1",
            "localhost",
            "LOCALHOST.",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "127.1",
            "0x7f.1",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::1]",
            "[::]",
            "0.0.0.0",
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "[fe80::1]",
            "[fd00::1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "224.0.0.1",
            "255.255.255.255",
        ];
        for host in hosts {
            let url = format!("http://{host}:{}/", inner.port);
            let answer = ask(&client, "http.fetch", "s", json!({"url": url})).await;
            assert_eq!(answer["outcome"], "failed", "{host}: {answer}");
            assert!(
                ["ADDRESS_REFUSED", "NOT_GRANTED", "HOST_REFUSED", "INVALID_INPUT"]
                    .contains(&code_of(&answer)),
                "{host}: {answer}"
            );
            let text = format!(
                "import actum\ntry:\n    actum.http.fetch({url:?})\n    told = 'reached'\nexcept actum.Error as e:\n    told = e.code\ntold"
            );
            let told = value_of(&code(&client, "s", &text).await);
            assert_eq!(told, code_of(&answer), "{host}");
        }
    });
    assert_eq!(inner.asked(), Vec::<String>::new());
    assert_eq!(proxy.asked(), Vec::<String>::new());
}

#[test]
fn a_granted_service_is_reached_and_leads_nowhere_else() {
    let (granted, closed, proxy) = (Server::start(), Server::start(), Server::start());
    let through = format!("http://127.0.0.1:{}", proxy.port);
    let grant = format!("127.0.0.1:{}", granted.port);
    let ground = Ground::with(
        &["--grant-http", &grant],
        &[("HTTP_PROXY", &through), ("http_proxy", &through)],
    );
    block_on(async {
        let client = ground.daemon.client().await;
        session_of(&client, "s", json!({})).await;
        let fetch = async |path: String| {
            let url = format!("http://{grant}{path}");
            ask(&client, "http.fetch", "s", json!({"url": url})).await
        };
        let answer = fetch("/plain".to_owned()).await;
        assert_eq!(answer["data"]["status"], 200, "{answer}");
        for to in [
            format!("http://127.0.0.1:{}/", closed.port),
            format!("http://localhost:{}/", closed.port),
            format!("http://0x7f000001:{}/", closed.port),
            format!("http://[::ffff:127.0.0.1]:{}/", closed.port),
            "http://169.254.169.254/latest/meta-data/".to_owned(),
            "file:///etc/passwd".to_owned(),
        ] {
            let answer = fetch(format!("/?to={to}")).await;
            assert_ne!(answer["outcome"], "succeeded", "{to}: {answer}");
            assert!(!answer.to_string().contains("root:"), "{to}: {answer}");
        }
    });
    assert_eq!(granted.asked().len(), 7);
    assert_eq!((closed.asked().len(), proxy.asked().len()), (0, 0));
}

#[test]
fn a_secret_goes_to_the_host_it_is_bound_to_and_is_seen_nowhere_else() {
    let (bound, other) = (Server::start(), Server::start());
    let (to_bound, to_other) = (
        format!("127.0.0.1:{}", bound.port),
        format!("127.0.0.1:{}", other.port),
    );
    let ground = Ground::with(&["--grant-http", &to_bound, "--grant-http", &to_other], &[]);
    let secrets = ground.data().join("secrets");
    std::fs::create_dir_all(&secrets).unwrap();
    for (name, text) in [("KEY", SECRET.to_owned()), ("KEY.hosts", to_bound.clone())] {
        std::fs::write(secrets.join(name), text).unwrap();
        std::fs::set_permissions(secrets.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let data = ground.data();
    block_on(async {
        let client = ground.daemon.client().await;
        python(&client, "s").await;
        let fetch = |host: &str| json!({"url": format!("http://{host}/"), "headers": {"Authorization": "$secret:KEY"}});
        let answer = ask(&client, "http.fetch", "s", fetch(&to_bound)).await;
        assert_eq!(answer["data"]["status"], 200, "{answer}");
        assert!(!answer.to_string().contains(SECRET), "{answer}");
        let refused = ask(&client, "http.fetch", "s", fetch(&to_other)).await;
        assert_eq!(code_of(&refused), "SECRET_REFUSED", "{refused}");
        // From inside, and in a program: the placeholder is all there is.
        let text = format!(
            "import actum\nstr(actum.http.fetch('http://{to_bound}/', headers={{'Authorization': '$secret:KEY'}}))"
        );
        let told = value_of(&code(&client, "s", &text).await);
        assert!(!told.to_string().contains(SECRET), "{told}");
        let run = json!({"argv": ["sh", "-c", "echo \"$KEY\""], "env": {"KEY": "$secret:KEY"}});
        let ran = ask(&client, "shell.run", "s", run).await;
        assert!(!ran.to_string().contains(SECRET), "{ran}");
    });
    let asked = bound.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|head| head.contains(SECRET)), "{asked:?}");
    assert_eq!(other.asked(), Vec::<String>::new());
    let (status, said) = ground.daemon.end();
    assert!(status.success(), "{said}");
    std::fs::remove_dir_all(&secrets).unwrap();
    assert_eq!(files_with(&data, SECRET), Vec::<String>::new());
}

fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            if bytes.windows(text.len()).any(|part| part == text.as_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[test]
fn no_path_leads_out_of_the_granted_folder_or_to_what_is_no_file() {
    let keep = tempfile::tempdir().unwrap();
    let open = keep.path().canonicalize().unwrap().join("open");
    let data = open.join("data");
    std::fs::create_dir_all(data.join("secrets")).unwrap();
    std::fs::write(data.join("secrets/KEY"), SECRET).unwrap();
    std::fs::write(open.join("../outside"), "outside").unwrap();
    symlink("../outside", open.join("link")).unwrap();
    symlink("/etc", open.join("etc")).unwrap();
    symlink("/proc/self/root", open.join("root")).unwrap();
    symlink("data", open.join("alias")).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(open.join("pipe"))
            .status()
            .unwrap()
            .success()
    );
    let _socket = std::os::unix::net::UnixListener::bind(open.join("socket")).unwrap();
    let daemon = dev(&data, &open, &[], &[]);
    block_on(async {
        let client = daemon.client().await;
        session_of(&client, "s", json!({})).await;
        let within = |name: &str| open.join(name).display().to_string();
        let paths = [
            "/etc/passwd".to_owned(),
            concat!("/proc/self/root", "/etc/passwd").to_owned(),
            "/proc/self/environ".to_owned(),
            "/dev/zero".to_owned(),
            within("../outside"),
            within("link"),
            within("etc/passwd"),
            within("root/etc/passwd"),
            within("pipe"),
            within("socket"),
            within("data/secrets/KEY"),
            within("alias/secrets/KEY"),
            within("x/../../outside"),
            "../outside".to_owned(),
        ];
        for path in &paths {
            for (kind, payload) in [
                ("file.read", json!({"path": path})),
                ("file.write", json!({"path": path, "content": "overwritten"})),
                ("file.remove", json!({"path": path})),
                ("file.move", json!({"from": path, "to": within("stolen")})),
            ] {
                let link_itself = path.ends_with("/link") && kind != "file.read" && kind != "file.write";
                let node_itself =
                    (path.ends_with("/pipe") || path.ends_with("/socket")) && kind == "file.move";
                if link_itself || node_itself {
                    continue;
                }
                let answer = ask(&client, kind, "s", payload).await;
                assert_eq!(answer["outcome"], "failed", "{kind} {path}: {answer}");
                assert!(!answer.to_string().contains(SECRET), "{answer}");
            }
        }
        let listed = ask(
            &client,
            "file.list",
            "s",
            json!({"path": open, "recursive": true}),
        )
        .await;
        assert!(!listed["data"].to_string().contains("KEY"), "{listed}");
        for from in ["data", "data/secrets"] {
            let moved = ask(
                &client,
                "file.move",
                "s",
                json!({"from": within(from), "to": within("stolen")}),
            )
            .await;
            assert_eq!(moved["outcome"], "failed", "{moved}");
        }
        assert_eq!(
            std::fs::read_to_string(open.join("../outside")).unwrap(),
            "outside"
        );
        assert_eq!(std::fs::read_to_string(data.join("secrets/KEY")).unwrap(), SECRET);
    });
}

#[test]
fn what_a_write_replaces_is_kept_as_a_blob() {
    let ground = Ground::new();
    block_on(async {
        let client = ground.daemon.client().await;
        session_of(&client, "s", json!({})).await;
        let path = ground.open.join("file");
        for (content, before) in [("one", None), ("two", Some("one")), ("three", Some("two"))] {
            let wrote = ask(
                &client,
                "file.write",
                "s",
                json!({"path": path, "content": content}),
            )
            .await;
            assert_eq!(wrote["outcome"], "succeeded", "{wrote}");
            let Some(before) = before else { continue };
            let hash = wrote["data"]["previous"]["hash"].as_str().unwrap();
            assert_eq!(wrote["data"]["previous"]["bytes"], before.len(), "{wrote}");
            // What the caller reads again is what stood there.
            assert_eq!(ground.daemon.run(&["blob", hash]).ended(0).out, before);
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), "three");
    });
}

#[test]
fn the_same_holds_for_an_ordinary_user() {
    again_as_an_ordinary_user(module_path!(), "the_same_holds_for_an_ordinary_user");
}
