//! Code that attacks its own worker, many sessions at once, and the end of a daemon: whatever a session does to itself,
//! the daemon and its neighbours live on, and nothing is left on the machine.

use crate::common::{block_on, follow, over, until};
use crate::withstand_support::*;
use serde_json::{Value, json};

/// What code does to the process it runs in, and what its session must come to: kept, lost, or either.
const ATTACKS: [(&str, &str, Option<bool>); 14] = [
    (
        "garbage into every socket it finds",
        "import os, socket, time\nfor name in os.listdir('/proc/self/fd'):\n    try:\n        if os.readlink('/proc/self/fd/' + name).startswith('socket:'):\n            os.write(int(name), b'\\xff' * 64)\n    except OSError: pass\ntime.sleep(1000)",
        Some(false),
    ),
    (
        "a frame of a result that is not its own",
        "import os, struct, time\nbody = b'\\x84\\xa4type\\xa6result\\xa2id\\xa3bad\\xa4repr\\xa0\\xaadurationNs\\x01'\nfor name in os.listdir('/proc/self/fd'):\n    try:\n        if os.readlink('/proc/self/fd/' + name).startswith('socket:'):\n            os.write(int(name), struct.pack('>I', len(body)) + body)\n    except OSError: pass\ntime.sleep(1000)",
        Some(false),
    ),
    (
        "every descriptor closed",
        "import os, time\nos.closerange(3, 1024)\ntime.sleep(1000)",
        Some(false),
    ),
    (
        "a kill of itself",
        "import os; os.kill(os.getpid(), 9)",
        Some(false),
    ),
    ("an end without a word", "import os; os._exit(7)", Some(false)),
    ("a crash", "import ctypes; ctypes.string_at(0)", Some(false)),
    (
        "a stop of itself",
        "import os; os.kill(os.getpid(), 19)",
        Some(false),
    ),
    ("an exit", "raise SystemExit(3)", Some(true)),
    (
        "a fork bomb",
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        None,
    ),
    (
        "memory without end",
        "import mmap\nwhole = []\nwhile True: whole.append(mmap.mmap(-1, 1 << 30))",
        Some(true),
    ),
    ("one value beyond all memory", "b'x' * (1 << 46)", Some(true)),
    ("a value too large to tell", "'x' * (30 << 20)", None),
    (
        "the worker's own names taken away",
        "import sys\nfor name in list(vars(sys.modules['__main__'])):\n    if not name.startswith('__'): setattr(sys.modules['__main__'], name, None)",
        None,
    ),
    (
        "words of a thread that outlives its execution",
        "import threading, time, os\ndef talk():\n    for n in range(100):\n        print('late', n); os.write(2, b'late')\nthreading.Thread(target=talk).start()",
        Some(true),
    ),
];

#[test]
fn a_session_that_attacks_its_worker_harms_itself_alone() {
    let ground = Ground::new();
    block_on(async {
        let client = ground.daemon.client().await;
        python(&client, "bystander").await;
        value_of(&code(&client, "bystander", "names = 41").await);
        for (n, (what, text, kept)) in ATTACKS.iter().enumerate() {
            let session = format!("attacker-{n}");
            python(&client, &session).await;
            value_of(&code(&client, &session, "before = 1").await);
            let ran = limited(&client, &session, text, 3000).await;
            let outcome = ran["outcome"].as_str().unwrap();
            assert!(
                ["succeeded", "failed", "timed_out"].contains(&outcome),
                "{what}: {ran}"
            );
            let next = code(&client, &session, "before").await;
            let lives = next["outcome"] == "succeeded";
            assert!(kept.is_none_or(|kept| kept == lives), "{what}: {ran} {next}");
            if !lives {
                assert_eq!(next["error"]["code"], "SESSION_LOST", "{what}: {next}");
                assert!(!next["error"]["message"].as_str().unwrap().is_empty());
            }
            let names: Vec<String> = listed(&client).await.into_iter().map(|(name, _)| name).collect();
            assert_eq!(names.contains(&session), lives, "{what}: {names:?}");
            let neighbour = code(&client, "bystander", "names + 1").await;
            assert_eq!(value_of(&neighbour), 42, "{what}");
            let gone = ask(&client, "session.delete", &session, json!({})).await;
            assert_eq!(gone["outcome"], "succeeded", "{what}: {gone}");
        }
    });
}

#[test]
fn many_idle_sessions_are_held_and_all_end_with_the_daemon() {
    let ground = Ground::with(&["--durability", "batched"], &[]);
    let count = times(20, 200);
    let held = block_on(async {
        let client = ground.daemon.client().await;
        for n in 0..count {
            let session = format!("s{n}");
            python(&client, &session).await;
            assert_eq!(value_of(&code(&client, &session, "1 + 1").await), 2);
        }
        assert_eq!(listed(&client).await.len(), count);
        let daemon = i32::try_from(ground.daemon.child.id()).unwrap();
        let below = below(ground.daemon.child.id());
        let all = below.iter().map(|held| resident_kib(held.pid));
        let (rss, pss) = all.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let own = resident_kib(daemon);
        println!(
            "{count} idle sessions in {} processes: {} MiB resident counted for each, {} MiB in all; the daemon {} MiB",
            below.len(),
            rss / 1024,
            pss / 1024,
            own.1 / 1024
        );
        // 200 in at most 1.5 GB.
        assert!(pss / u64::try_from(count).unwrap() < 7680 + 65_536 / u64::try_from(count).unwrap());
        below
    });
    let (status, said) = ground.daemon.end();
    assert!(status.success(), "{said}");
    for held in held {
        assert!(
            held.ends_within(PATIENCE_SECONDS),
            "process {} outlived the daemon",
            held.pid
        );
    }
}

/// Control groups of cages whose process is in a set.
fn groups_of(made_by: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with("actum-cage-") && made_by(&entry.path().display().to_string()) {
                    found.push(entry.path().display().to_string());
                }
                folders.push(entry.path());
            }
        }
    }
    found
}

/// The groups that hold a process of these.
fn groups_with(held: &[Held]) -> Vec<String> {
    groups_of(&|folder| {
        let inside = std::fs::read_to_string(format!("{folder}/cgroup.procs")).unwrap_or_default();
        inside
            .lines()
            .any(|line| held.iter().any(|one| line == one.pid.to_string()))
    })
}

#[test]
fn programs_without_a_cage_that_outlive_their_time_end_with_the_daemon_and_all_they_started() {
    let ground = Ground::with(&["--sandbox", "none", "--drain-timeout", "1"], &[]);
    let mark = fresh(&format!("uncaged-{}", std::process::id()));
    block_on(async {
        let client = ground.daemon.client().await;
        let mut events = follow(&client).await;
        session_of(&client, "t", json!({})).await;
        let hidden = format!("trap \"\" TERM HUP; sleep 1000; : {mark}");
        let script = format!("trap '' TERM; setsid sh -c '{hidden}' & echo begun; sleep 1000; : {mark}");
        let mut run = command("shell.run", "t", json!({"argv": ["sh", "-c", script]}));
        run["id"] = "program".into();
        run["detach"] = Value::Bool(true);
        client.submit(&run).await.unwrap();
        until(&mut events, "output", "program").await;
    });
    assert!(marked(&mark).len() >= 2, "the program and what it started");
    let data = ground.data();
    let (status, said) = ground.daemon.end();
    assert!(status.success(), "{said}");
    assert_eq!(marked(&mark).len(), 0, "something outlived the daemon");
    over(&data, &["replay", "--verify"]).ended(0);
    let ground = dev(&data, &ground.open, &["--sandbox", "none"], &[]);
    let row = ground.run(&["show", "program", "--json"]).ended(0).json();
    assert_eq!(row["state"], "in_doubt", "{row}");
}

#[test]
fn a_daemon_that_is_stopped_in_the_middle_of_code_leaves_nothing_behind() {
    for how in ["stopped", "killed"] {
        let ground = Ground::with(&["--drain-timeout", "1"], &[]);
        let mark = fresh(&format!("{how}-{}", std::process::id()));
        let held = block_on(async {
            let client = ground.daemon.client().await;
            let mut events = follow(&client).await;
            python(&client, "s").await;
            let text = format!(
                "import subprocess\nprint('begun', flush=True)\nsubprocess.run(['sh', '-c', 'trap \"\" TERM; sleep 1000; : {mark}'])"
            );
            session_of(&client, "t", json!({})).await;
            let script = format!("trap '' TERM; echo begun; sleep 1000; : {mark}");
            for (id, mut run) in [
                ("code", command("code.run", "s", json!({"code": text}))),
                (
                    "program",
                    command("shell.run", "t", json!({"argv": ["sh", "-c", script]})),
                ),
            ] {
                run["id"] = id.into();
                run["detach"] = Value::Bool(true);
                client.submit(&run).await.unwrap();
                until(&mut events, "output", id).await;
            }
            below(ground.daemon.child.id())
        });
        let groups = groups_with(&held);
        let ground = if how == "killed" {
            ground.killed(&[])
        } else {
            ground.stopped(&[])
        };
        for held in held {
            assert!(
                held.ends_within(PATIENCE_SECONDS),
                "{how}: process {} is left",
                held.pid
            );
        }
        nothing_is_left_of(&mark);
        // Folders of control groups cannot be removed by a process that is killed with what is in them, nor by one whose
        // programs outlived the time they were given: the start of the next one does it.
        let ground = ground.killed(&[]);
        let left: Vec<String> = groups_of(&|folder| groups.iter().any(|group| group == folder));
        assert_eq!(left, Vec::<String>::new(), "{how}");
        drop(ground);
    }
}

#[test]
fn two_daemons_at_once_do_not_know_of_each_other() {
    let (one, two) = (Ground::new(), Ground::new());
    block_on(async {
        let (a, b) = (one.daemon.client().await, two.daemon.client().await);
        let (_, _) = tokio::join!(python(&a, "s"), python(&b, "s"));
        let (x, y) = tokio::join!(code(&a, "s", "n = 1\nn"), code(&b, "s", "n = 2\nn"));
        assert_eq!((value_of(&x), value_of(&y)), (json!(1), json!(2)));
        // A third one starts beside them and sweeps; neither loses anything.
        drop(Ground::new());
        let (x, y) = tokio::join!(code(&a, "s", "n"), code(&b, "s", "n"));
        assert_eq!((value_of(&x), value_of(&y)), (json!(1), json!(2)));
    });
    two.daemon.kill();
    block_on(async {
        let a = one.daemon.client().await;
        assert_eq!(value_of(&code(&a, "s", "n").await), 1);
    });
}

#[test]
fn the_same_holds_for_an_ordinary_user() {
    again_as_an_ordinary_user(module_path!(), "the_same_holds_for_an_ordinary_user");
}
