//! Whole trees: what hides from a process group is found, and nothing outlives its command.

use super::support::{Bench, GRACE, job, marked};
use actum_daemon::door::Job;
use actum_model::Hash;
use actum_model::effect::SettledAs;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Every process ignores TERM, makes two more in sessions of their own, one of them by a double fork, and stays.
const BOMB: &str = "trap '' TERM
if [ $1 -gt 0 ]; then
  setsid sh $0 $(($1-1)) &
  (setsid sh $0 $(($1-1)) &)
fi
echo up
while :; do sleep 1000; done
";

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_that_hides_and_ignores_is_all_gone() {
    let mut bench = Bench::new();
    let script = bench.spool.path().join("bomb");
    std::fs::write(&script, BOMB).unwrap();
    let bomb = job(&["sh", script.to_str().unwrap(), "5"]);
    let (seq, effect) = (bomb.seq, bomb.effect);
    bench.door.start(bomb);
    bench.output(seq, "up", 63).await;
    assert!(marked(effect).len() >= 63);
    let begun = Instant::now();
    bench.door.stop(seq, GRACE);
    let done = bench.settled(seq).await;
    println!(
        "a bomb of 126 processes was stopped in {:?} with a grace of {GRACE:?}",
        begun.elapsed()
    );
    done.expect(SettledAs::Stopped);
    assert_eq!(marked(effect), [0; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_fork_and_die_all_the_time_are_caught() {
    let mut bench = Bench::new();
    // A chain: each lives only long enough to start the next, in a new session. It ends some day, so that a door
    // that fails here does not take all process numbers of the machine.
    let script = bench.spool.path().join("chain");
    std::fs::write(
        &script,
        "trap '' TERM\necho up\n[ $1 -gt 0 ] && exec setsid -f sh $0 $(($1-1))\n",
    )
    .unwrap();
    let chain = job(&[
        "sh",
        "-c",
        &format!(
            "sh {} 5000 & trap '' TERM; while :; do sleep 1000; done",
            script.display()
        ),
    ]);
    let (seq, effect) = (chain.seq, chain.effect);
    bench.door.start(chain);
    bench.output(seq, "up", 20).await;
    bench.door.stop(seq, GRACE);
    bench.settled(seq).await.expect(SettledAs::Stopped);
    assert_eq!(marked(effect), [0; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_background_child_that_holds_the_pipe_does_not_hold_the_command() {
    let mut bench = Bench::new();
    let run = job(&["sh", "-c", "sleep 1000 & echo done"]);
    let effect = run.effect;
    let begun = Instant::now();
    let done = bench.run(run).await;
    assert_eq!(done.expect(SettledAs::Succeeded).stdout(), "done\n");
    assert_eq!(done.data["leftover"], 1);
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "it did not wait for the sleeper"
    );
    assert_eq!(marked(effect), [0; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn daemons_end_with_their_command_though_they_hold_nothing() {
    let mut bench = Bench::new();
    for hide in ["setsid -f sleep 1000", "(setsid sleep 1000 &)", "(sleep 1000 &)"] {
        let run = job(&["sh", "-c", &format!("{hide} >/dev/null 2>&1 </dev/null; exit 4")]);
        let effect = run.effect;
        let done = bench.run(run).await;
        assert_eq!(done.expect(SettledAs::Failed).data["leftover"], 1, "{hide}");
        assert_eq!(marked(effect), [0; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clearing_the_environment_does_not_hide_a_descendant() {
    let mut bench = Bench::new();
    let run = job(&[
        "sh",
        "-c",
        "setsid env -i sh -c 'trap \"\" TERM; echo $$; while :; do /bin/sleep 1000; done' & wait",
    ]);
    let seq = run.seq;
    bench.door.start(run);
    let seen = bench.output(seq, "\n", 1).await;
    let hidden = Pid::from_raw(seen.trim().parse().unwrap()).unwrap();
    let end = pidfd_open(hidden, PidfdFlags::empty()).unwrap();
    bench.door.stop(seq, GRACE);
    bench.settled(seq).await.expect(SettledAs::Stopped);
    wait_for(&end);
}

/// Blocks until the process has ended.
fn wait_for(end: &std::os::fd::OwnedFd) {
    poll(&mut [PollFd::new(end, PollFlags::IN)], None).unwrap();
}

const HELPER: &str = "ACTUM_DOOR_HELPER";

/// Not a test by itself: the daemon that is killed in the test below. It prints the pid of the command's main
/// process and waits to die.
#[tokio::test(flavor = "multi_thread")]
async fn helper_daemon() {
    let Ok(effect) = std::env::var(HELPER) else { return };
    let mut bench = Bench::new();
    let script = "(setsid sleep 1000 &); sleep 1000 & echo main $$ ready; wait";
    let run = Job {
        effect: effect.parse().unwrap(),
        ..job(&["sh", "-c", script])
    };
    let seq = run.seq;
    bench.door.start(run);
    println!("{}", bench.output(seq, "ready", 1).await);
    bench.settled(seq).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemon_takes_its_command_along_and_the_next_one_sweeps_the_rest() {
    let effect = Hash::of(format!("helper {}", std::process::id()).as_bytes());
    let mut daemon = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "door::tree::helper_daemon", "--nocapture"])
        .env(HELPER, effect.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(daemon.stdout.take().unwrap()).lines();
    let main = lines.map_while(Result::ok).find_map(|line| {
        let (_, rest) = line.split_once("main ")?;
        rest.split(' ').next()?.parse().ok()
    });
    let end = pidfd_open(Pid::from_raw(main.unwrap()).unwrap(), PidfdFlags::empty()).unwrap();
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    wait_for(&end);
    assert_eq!(marked(effect).len(), 2, "grandchildren get no death signal");
    let swept = Bench::new()
        .door
        .sweep(&[effect, Hash::ZERO], Duration::from_secs(60))
        .await;
    assert_eq!((swept.found, swept.left), (2, 0));
    assert_eq!(marked(effect), [0; 0]);
}
