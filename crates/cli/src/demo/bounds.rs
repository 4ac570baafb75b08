//! What is kept from the agent: the host's files and the network by the cage, what nobody granted by the daemon.

use super::story::{Calls, Story};
use super::{missed, report};
use crate::failure::Failure;
use crate::shape::{at, text};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, TcpListener};

/// A file of the host that lies beside the granted folder.
const OUTSIDE: &str = "outside.txt";

impl Story<'_> {
    pub(super) async fn try_to_get_out(&mut self, calls: &mut Calls) -> Result<(), Failure> {
        self.tell
            .chapter("It tries to reach what nobody granted, and cannot")?;
        if self.caged {
            self.files_of_the_host(calls).await?;
            self.network_of_the_host(calls).await?;
        } else {
            self.tell.remark(
                "Left out: programs and code that try to leave the cage, which this host cannot build.",
            )?;
        }
        self.loopback_without_grant(calls).await
    }

    async fn files_of_the_host(&mut self, calls: &mut Calls) -> Result<(), Failure> {
        let outside = self.places.root.join(OUTSIDE);
        std::fs::write(&outside, "not for agents\n")
            .map_err(|error| Failure::io("write", &outside, &error))?;
        let outside = outside.to_string_lossy().into_owned();
        for (id, path) in [("out-1", "/etc/shadow"), ("out-2", outside.as_str())] {
            let what = format!("cat {path}");
            let report = self
                .call(calls, id, "shell_run", &what, json!({"argv": ["cat", path]}))
                .await?;
            let said = text(at(&report, "/result/stderr"), "text");
            if report::state(&report) != "failed" || !said.contains("No such file or directory") {
                return Err(missed(format!(
                    "`{path}` should not be there in the cage: {report}"
                )));
            }
        }
        self.tell
            .remark("The cage has no such files. It holds the granted folder and what programs need to run.")
    }

    async fn network_of_the_host(&mut self, calls: &mut Calls) -> Result<(), Failure> {
        let (host, port) = ("127.0.0.1", self.payments.port());
        let code = format!("import socket\nsocket.create_connection((\"{host}\", {port}), 5)");
        let what = format!("connect to {host}:{port}");
        let report = self
            .call(calls, "out-3", "code_run", &what, json!({"code": code}))
            .await?;
        if report::state(&report) != "failed" || report::code(&report) != "EXECUTION_FAILED" {
            return Err(missed(format!(
                "code in the cage should have no network: {report}"
            )));
        }
        self.tell.remark(
            "The payments server listens there, and code has no network to reach it with. http_fetch is the way.",
        )
    }

    async fn loopback_without_grant(&mut self, calls: &mut Calls) -> Result<(), Failure> {
        // Somebody listens there, so that it is the refusal which is seen and not a port nobody has.
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
        let (port, listener) = other.map_err(|error| missed(format!("no port could be opened: {error}")))?;
        let url = format!("http://127.0.0.1:{port}/");
        let what = format!("GET {url}");
        let report = self
            .call(calls, "out-4", "http_fetch", &what, json!({"url": url}))
            .await?;
        if report::code(&report) != "HOST_REFUSED" {
            return Err(missed(format!(
                "a fetch without a grant should be refused: {report}"
            )));
        }
        let quiet = listener.set_nonblocking(true).and_then(|()| listener.accept());
        if quiet.is_ok() {
            return Err(missed("a fetch that was refused connected all the same"));
        }
        self.tell
            .remark("Loopback is refused unless the operator granted that very port. Nothing was connected.")
    }
}

/// Whether the first program was not started because the host cannot build the cage: a layer is missing, or a step of
/// the building is forbidden, as inside some containers.
pub(super) fn no_cage(report: &Value) -> bool {
    matches!(report::code(report), "SANDBOX_UNAVAILABLE" | "SPAWN_FAILED")
}
