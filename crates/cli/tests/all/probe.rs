//! SIGKILL of the real binary while a command runs that brought a probe: at the next start the world is asked, and
//! each of its three answers comes to what it must.

use crate::common::{Daemon, actum, block_on, over, web};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SIGKILL: i32 = 9;
const SECRET: &str = "pr0be-s3cr3t-kQ7vWz2mXp9";

/// A data directory, and the file by which a command changes the world.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { folder };
        let secrets = place.data().join("secrets");
        std::fs::create_dir_all(&secrets).unwrap();
        let secret = secrets.join("KEY");
        std::fs::write(&secret, SECRET).unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        place
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("effect")
    }

    fn times_done(&self) -> usize {
        std::fs::read_to_string(self.file()).map_or(0, |text| text.lines().count())
    }

    /// A command that writes a line with a secret into the file.
    fn command(&self, probe: &[&str]) -> Value {
        let script = format!("echo \"did it with $KEY\" >> {}", self.file().display());
        json!({"type": "shell.run", "id": "post", "sessionId": "web", "detach": true, "payload": {
            "argv": ["sh", "-c", script], "env": {"KEY": "$secret:KEY"}, "probe": {"argv": probe}}})
    }

    /// Looks for the file: 0 where it is there, else 1. It has the mark of its command's effect, and nothing to call
    /// back with.
    fn look(&self) -> String {
        let file = self.file();
        format!(
            "test -n \"$ACTUM_EFFECT\" && test -z \"$ACTUM_URL$ACTUM_TOKEN\" || exit 9; test -e {0} && cat {0}",
            file.display()
        )
    }

    /// A daemon that dies at a crash point.
    fn armed(&self, point: &str) -> Command {
        let mut command = actum();
        command
            .args([
                "dev",
                "--sandbox",
                "none",
                "--listen",
                "127.0.0.1:0",
                "--segment-mib",
                "1",
                "--json",
            ])
            .arg("--data")
            .arg(self.data())
            .env("ACTUM_CRASH_AT", point);
        command
    }

    /// The command is accepted, and the daemon dies at this point of its effect.
    fn dies_at(&self, point: &str, command: &Value) {
        let mut daemon = Daemon::spawn(self.armed(point), &self.data());
        block_on(async {
            let client = daemon.client().await;
            client.submit(&web()).await.unwrap();
            // It may be dead before it has answered.
            let _answer = client.submit(command).await;
        });
        let (status, said) = daemon.wait();
        assert_eq!(status.signal(), Some(SIGKILL), "{said}");
    }
}

fn row(daemon: &Daemon, id: &str) -> Value {
    daemon.run(&["show", id, "--json"]).ended(0).json()
}

fn because(daemon: &Daemon, id: &str) -> String {
    let why = daemon.run(&["why", id, "--json"]).ended(0).json();
    why["because"].to_string()
}

/// The history is whole, and decided again it is the same.
fn proves(data: &Path) {
    over(data, &["verify"]).ended(0);
    over(data, &["replay", "--verify"]).ended(0);
}

#[test]
fn an_effect_that_landed_is_found_by_its_probe() {
    let place = Place::new();
    place.dies_at("effect_settled", &place.command(&["sh", "-c", &place.look()]));
    assert_eq!(place.times_done(), 1);

    let daemon = Daemon::dev(&place.data());
    daemon.run(&["wait", "post"]).ended(0);
    let recovery = daemon.run(&["recovery", "--json"]).ended(0).json();
    assert_eq!(recovery["classes"]["probe"], 1, "{recovery}");
    assert_eq!(recovery["classes"]["in_doubt"], 0, "{recovery}");
    assert_eq!(recovery["commands"][0]["class"], "probe", "{recovery}");
    assert_eq!(
        recovery["commands"][0]["reason"], "crash_after_dispatch",
        "{recovery}"
    );
    let said = daemon.run(&["recovery"]).ended(0).out;
    assert!(said.contains("1 probe"), "{said}");

    let row = row(&daemon, "post");
    assert_eq!(row["state"], "succeeded", "{row}");
    let probe = &row["data"]["probe"];
    assert_eq!(probe["exitCode"], 0, "{row}");
    let text = probe["stdout"]["text"].as_str().unwrap();
    assert!(text.starts_with("did it with [redacted:"), "{text}");
    assert!(!row.to_string().contains(SECRET), "{row}");
    assert!(because(&daemon, "post").contains("its probe found"), "{row}");
    assert_eq!(place.times_done(), 1, "it is not done again");
    daemon.kill();
    proves(&place.data());
}

#[test]
fn an_effect_that_did_not_happen_fails_and_the_lane_goes_on() {
    let place = Place::new();
    // It is marked as dispatched, and its process was never started.
    place.dies_at("effect_prepared", &place.command(&["sh", "-c", &place.look()]));
    assert_eq!(place.times_done(), 0);

    let daemon = Daemon::dev(&place.data());
    daemon.run(&["wait", "post"]).ended(1);
    let row = row(&daemon, "post");
    assert_eq!(row["state"], "failed", "{row}");
    assert_eq!(row["error"]["code"], "DID_NOT_HAPPEN", "{row}");
    assert_eq!(row["data"]["probe"]["exitCode"], 1, "{row}");
    assert!(because(&daemon, "post").contains("its probe looked"), "{row}");
    let mut again = place.command(&["true"]);
    again["id"] = "post-again".into();
    again["detach"] = false.into();
    block_on(async {
        let answer = daemon.client().await.submit(&again).await.unwrap();
        assert_eq!(answer["outcome"], "succeeded", "{answer}");
    });
    assert_eq!(place.times_done(), 1);
    daemon.kill();
    proves(&place.data());
}

#[test]
fn a_probe_that_cannot_tell_leaves_the_command_in_doubt() {
    for (probe, said) in [
        (&["sh", "-c", "echo puzzled >&2; exit 3"][..], "exit code 3"),
        (&["sh", "-c", "kill -USR1 $$"], "killed by signal 10"),
        (&["/no/such/program"], "cannot start `/no/such/program`"),
    ] {
        let place = Place::new();
        place.dies_at("effect_settled", &place.command(probe));
        let daemon = Daemon::dev(&place.data());
        daemon.run(&["wait", "post"]).ended(3);
        let row = row(&daemon, "post");
        assert_eq!(row["state"], "in_doubt", "{row}");
        assert_eq!(row["reason"], "crash_after_dispatch", "{row}");
        let because = because(&daemon, "post");
        assert!(
            because.contains("could not tell") && because.contains(said),
            "{because}"
        );
        daemon
            .run(&["resolve", "post", "--as", "landed", "--note", "its file is there"])
            .ended(0);
        daemon.run(&["wait", "post"]).ended(0);
        daemon.kill();
        proves(&place.data());
    }
}

#[test]
fn a_crash_while_the_probe_is_asked_asks_it_again() {
    let place = Place::new();
    place.dies_at("effect_settled", &place.command(&["sh", "-c", &place.look()]));
    for point in ["effect_prepared", "effect_settled"] {
        // It may die before it is ready.
        let output = place.armed(point).stderr(Stdio::null()).output().unwrap();
        assert_eq!(output.status.signal(), Some(SIGKILL), "{point}");
    }
    let daemon = Daemon::dev(&place.data());
    daemon.run(&["wait", "post"]).ended(0);
    let recovery = daemon.run(&["recovery", "--json"]).ended(0).json();
    assert_eq!(recovery["classes"]["probe"], 1, "{recovery}");
    assert_eq!(place.times_done(), 1);
    daemon.kill();
    proves(&place.data());
}

#[test]
fn the_lane_holds_while_the_probe_is_asked_and_a_person_may_be_faster() {
    let place = Place::new();
    let (gate, started) = (
        place.folder.path().join("gate"),
        place.folder.path().join("started"),
    );
    for fifo in [&gate, &started] {
        assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
    }
    // It says that it runs, and then waits to be told to go on.
    let probe = format!(
        "echo asked > {}; cat {} > /dev/null",
        started.display(),
        gate.display()
    );
    for person in [false, true] {
        let mut command = place.command(&["sh", "-c", &probe]);
        command["id"] = format!("post-{person}").into();
        let id = command["id"].as_str().unwrap();
        place.dies_at("effect_settled", &command);
        let daemon = Daemon::dev(&place.data());
        assert_eq!(std::fs::read_to_string(&started).unwrap(), "asked\n");
        assert_eq!(row(&daemon, id)["state"], "probing");
        assert!(because(&daemon, id).contains("its probe is asked"));
        let behind = format!("behind-{person}");
        let annotate = json!({"type": "session.annotate", "id": behind, "sessionId": "web",
            "detach": true, "payload": {"key": "k", "value": 1}});
        block_on(async {
            let answer = daemon.client().await.submit(&annotate).await.unwrap();
            assert_eq!(answer["accepted"], true, "{answer}");
        });
        assert_eq!(row(&daemon, &behind)["state"], "queued");
        if person {
            daemon
                .run(&["resolve", id, "--as", "did-not-happen", "--note", "I know"])
                .ended(0);
            daemon.run(&["wait", id]).ended(1);
        } else {
            std::fs::write(&gate, "go on\n").unwrap();
            daemon.run(&["wait", id]).ended(0);
        }
        daemon.run(&["wait", &behind]).ended(0);
        let (status, said) = daemon.end();
        assert!(status.success(), "{said}");
    }
    proves(&place.data());
}

#[test]
fn a_daemon_that_runs_nothing_without_a_cage_asks_no_probe_either() {
    let place = Place::new();
    place.dies_at("effect_settled", &place.command(&["sh", "-c", &place.look()]));
    let token = over(&place.data(), &["token", "create", "ops"]).ended(0).out;
    let token = token.trim();
    let daemon = Daemon::start(&place.data(), &["serve", "--listen", "127.0.0.1:0"]);
    daemon.run(&["--token", token, "wait", "post"]).ended(3);
    let why = daemon.run(&["--token", token, "why", "post"]).ended(0).out;
    assert!(why.contains("its command ran without a cage"), "{why}");
}

#[test]
fn arguments_in_a_sealed_blob_still_have_their_probe() {
    let place = Place::new();
    let mut command = place.command(&["sh", "-c", &place.look()]);
    command["payload"]["stdin"] = "x".repeat(40_000).into();
    place.dies_at("effect_settled", &command);
    let daemon = Daemon::dev(&place.data());
    daemon.run(&["wait", "post"]).ended(0);
    assert_eq!(row(&daemon, "post")["data"]["probe"]["exitCode"], 0);
}

#[test]
fn a_probe_that_has_lost_its_secret_is_not_run() {
    let place = Place::new();
    let probe = ["sh", "-c", &place.look(), "--password", SECRET];
    place.dies_at("effect_settled", &place.command(&probe));
    let daemon = Daemon::dev(&place.data());
    daemon.run(&["wait", "post"]).ended(3);
    let because = because(&daemon, "post");
    assert!(because.contains("a secret given inline was lost"), "{because}");
    assert!(!because.contains(SECRET), "{because}");
}
