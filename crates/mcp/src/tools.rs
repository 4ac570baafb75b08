//! The tools, one row each: which kind of command a tool is, what a model reads about it, what a client may show.

use crate::schema;
use actum_model::contract::{self, Contract};
use rmcp::model::{Tool, ToolAnnotations};

/// An argument of the tool itself, which is not of the command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extra {
    /// `waitMs`: how long the call waits.
    Wait,
    /// `timeoutMs`: how long the command may run.
    RunLimit,
    /// `allSessions`: look beyond the session of the connection.
    AllSessions,
}

/// One tool.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: &'static str,
    /// The kind of command it is.
    pub(crate) kind: &'static str,
    /// Its name for people.
    title: &'static str,
    /// What a model reads before it chooses it.
    about: &'static str,
    /// Arguments of its own.
    pub(crate) extras: &'static [Extra],
    /// Nothing changes by it.
    read_only: bool,
    /// What it changes may be lost by it.
    destructive: bool,
    /// Doing it twice is doing it once.
    idempotent: bool,
    /// It reaches what nobody here knows.
    open_world: bool,
}

/// What a row has unless it says otherwise: it only looks, at what is known.
const LOOK: Row = Row {
    name: "",
    kind: "",
    title: "",
    about: "",
    extras: &[Extra::Wait],
    read_only: true,
    destructive: false,
    idempotent: true,
    open_world: false,
};

/// What a row has that may do anything.
const ACT: Row = Row {
    read_only: false,
    destructive: true,
    idempotent: false,
    open_world: true,
    ..LOOK
};

/// All tools, in the order in which they are shown.
pub(crate) const TOOLS: &[Row] = &[
    Row {
        name: "shell_run",
        kind: "shell.run",
        title: "Run a program",
        about: "Runs one program with a list of arguments, never a line through a shell: for pipes or globs give \
            [\"sh\", \"-c\", \"…\"]. Gives exit code, stdout and stderr; any other exit code than 0 is an error. A large \
            output comes as its head, its tail and the hash (`blob`) under which the whole is kept. Every call is \
            recorded. If it takes longer than waitMs, the answer has its command id: go on with command_wait.",
        extras: &[Extra::Wait, Extra::RunLimit],
        ..ACT
    },
    Row {
        name: "code_run",
        kind: "code.run",
        title: "Run Python code",
        about: "Runs Python in a process that keeps its names from call to call (variables, imports, functions). The \
            value of a trailing expression is the result; top-level `await` works; print goes to stdout, \
            actum.display shows pictures. An exception is an error with its traceback. Nobody answers input(). It runs in a sandbox without network of its own. Every call is recorded. If \
            it takes longer than waitMs, the answer has its command id: go on with command_wait.",
        extras: &[Extra::Wait, Extra::RunLimit],
        ..ACT
    },
    Row {
        name: "file_read",
        kind: "file.read",
        title: "Read a file",
        about: "Reads a file beneath a folder the operator granted. Long files come in parts: where `eof` is false, go on \
            with `offset`. `hash` is what file_write takes as `ifHash`, so that nothing written meanwhile is lost.",
        ..LOOK
    },
    Row {
        name: "file_write",
        kind: "file.write",
        title: "Write a file",
        about: "Writes a file beneath a folder the operator granted: whole or not at all. What it replaces is kept under \
            the hash in `previous`. Give `ifHash` to write only if the content is still what was read, or mode `create` \
            to write only what is not there yet.",
        open_world: false,
        ..ACT
    },
    Row {
        name: "file_list",
        kind: "file.list",
        title: "List a folder",
        about: "Lists a folder that the operator granted, or one beneath it, in pages: where there is `nextCursor`, give \
            it as `cursor` for the next page.",
        ..LOOK
    },
    Row {
        name: "http_fetch",
        kind: "http.fetch",
        title: "Send an HTTP request",
        about: "Sends one request to a host the operator granted and follows its redirects, each checked. Any status is \
            an answer, also 404 and 500. Secrets are named `$secret:NAME`, never written out. A request that may \
            have changed something is never sent twice for one call.",
        ..ACT
    },
    Row {
        name: "command_wait",
        kind: "command.wait",
        title: "Wait for a command",
        about: "Answers when a command has its outcome, with the same result its own call would have given; or after \
            waitMs with where it stands and why. Use it for a command that was still running when its call answered, \
            and after a lost connection. It changes nothing, so it can be repeated.",
        ..LOOK
    },
    Row {
        name: "history",
        kind: "server.history",
        title: "Look at what was done",
        about: "Lists commands with outcome and time, the newest first: those of this connection's session, or of all \
            with allSessions. Use it to see what has already been done before doing something again.",
        extras: &[Extra::AllSessions],
        ..LOOK
    },
];

/// The tool of this name.
pub(crate) fn find(name: &str) -> Option<&'static Row> {
    TOOLS.iter().find(|row| row.name == name)
}

impl Row {
    /// The contract of its kind; every row has one, which a test holds.
    pub(crate) fn contract(&self) -> Option<&'static Contract> {
        contract::find(self.kind)
    }

    /// Whether its calls are commands of their own, rather than questions.
    pub(crate) fn is_command(&self) -> bool {
        self.contract()
            .is_some_and(|contract| contract.admission == contract::Admission::Queued)
    }

    /// As a client sees it, whose calls wait so long unless they say otherwise.
    pub(crate) fn tool(&self, wait_ms: u64) -> Option<Tool> {
        let contract = self.contract()?;
        let annotations = ToolAnnotations::with_title(self.title)
            .read_only(self.read_only)
            .destructive(self.destructive)
            .idempotent(self.idempotent)
            .open_world(self.open_world);
        let tool = Tool::new(self.name, self.about, schema::input(self, contract, wait_ms))
            .with_title(self.title)
            .with_raw_output_schema(schema::output(self, contract).into())
            .with_annotations(annotations);
        Some(tool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_a_kind_of_command_and_says_what_it_does() {
        for row in TOOLS {
            let tool = row
                .tool(1)
                .unwrap_or_else(|| panic!("`{}` has no contract", row.name));
            assert_eq!(find(row.name).map(|row| row.kind), Some(row.kind));
            assert!(tool.description.unwrap().len() > 80, "{}", row.name);
            assert!(
                row.name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            );
        }
    }

    #[test]
    fn hints_never_promise_more_than_the_contract() {
        for row in TOOLS {
            let contract = row.contract().unwrap();
            assert!(!row.read_only || contract.read_only(), "{}", row.name);
            assert!(
                !row.idempotent || contract.read_only() || contract.idempotent,
                "{}",
                row.name
            );
            assert!(row.open_world || !contract.reaches_outside(), "{}", row.name);
        }
    }
}
