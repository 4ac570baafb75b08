//! The payments server of the demo: a process of its own, with a log of its own, that knows nothing of Actum. It can
//! be told to hold an answer back after the charge was made.

use super::{LIMIT, Places, files, log_file, missed};
use crate::failure::Failure;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Between two looks whether an answer is held.
const LOOK: Duration = Duration::from_millis(5);

/// A running server. It ends when this process does, however that ends; dropping it kills it.
pub(super) struct Payments {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Payments {
    pub(super) fn start(places: &Places) -> Result<Payments, Failure> {
        let folder = places.root.join("payments");
        files::write_payments(&folder)?;
        let mut child = Command::new("python3")
            .args(["-B", "payments.py", "--log", "charges.log"])
            .args(["--hold", "hold", "--held", "held", "--until-stdin-ends"])
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file(&places.log)?)
            .spawn()
            .map_err(|error| Failure::io("start", Path::new("python3"), &error))?;
        let (line_in, line) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            std::thread::spawn(move || {
                let mut first = String::new();
                let _read = BufReader::new(output).read_line(&mut first);
                let _nobody = line_in.send(first);
            });
        }
        let mut server = Payments {
            child,
            port: 0,
            folder,
        };
        let said = line.recv_timeout(LIMIT).unwrap_or_default();
        server.port = said
            .trim()
            .parse()
            .map_err(|_| missed(format!("the payments server named no port: {said:?}")))?;
        Ok(server)
    }

    /// Where it listens.
    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// From now on charges are made, and their answers held back.
    pub(super) fn hold(&self) -> Result<(), Failure> {
        let path = self.folder.join("hold");
        std::fs::write(&path, "").map_err(|error| Failure::io("write", &path, &error))
    }

    /// Answers go out again.
    pub(super) fn release(&self) -> Result<(), Failure> {
        let path = self.folder.join("hold");
        std::fs::remove_file(&path).map_err(|error| Failure::io("remove", &path, &error))
    }

    /// Waits until a charge is made whose answer is held back.
    pub(super) async fn held(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        while !self.folder.join("held").exists() {
            if begun.elapsed() > LIMIT {
                return Err(missed("the charge did not reach the payments server"));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// The lines of its log: one for each charge it made.
    pub(super) fn log(&self) -> Result<Vec<String>, Failure> {
        let path = self.folder.join("charges.log");
        let log = std::fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
        Ok(log.lines().map(str::to_owned).collect())
    }
}

impl Drop for Payments {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}
