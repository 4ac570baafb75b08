//! `actum submit`: commands from a file, one JSON object a line.
//!
//! Lines are sent while answers come, which are shown in the order of the lines. Sending the same file again is
//! safe: a line with an id is never carried out twice.

use crate::answer::{self, Widths};
use crate::context::Context;
use crate::failure::{Done, Exit, Failure, fault_of};
use crate::mint;
use crate::progress;
use crate::remote::{Remote, block_on};
use crate::shape::{self, text};
use crate::survey::{Survey, survey};
use crate::watch::{PATIENCE, Watch};
use actum_client::{ClientError, LineReceiver, LineSender};
use actum_model::ErrorCode;
use clap::Args as ClapArgs;
use indicatif::ProgressBar;
use serde_json::Value;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};

/// Lines sent and not answered; the daemon reads no further either.
const UNANSWERED_MAX: usize = 4096;

/// Flags of `submit`.
#[derive(ClapArgs, Clone, Debug)]
#[command(
    after_help = "Examples:\n  actum submit actions.jsonl\n  generate-actions | actum submit - --session web\n\n\
    Ends with 0 where all succeeded, 1 where one did not, 3 where one is in doubt."
)]
pub(crate) struct Args {
    /// The file; `-` is standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// The session of lines that need one and name none
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Send a line only when the one before it is answered
    #[arg(long)]
    one_by_one: bool,
}

/// A line on its way.
struct Sent {
    number: u64,
    id: String,
    at: Instant,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    let survey = survey(&args.file, args.session.as_deref())?;
    block_on(submit(args, survey, context))
}

async fn submit(args: &Args, survey: Survey, context: &Context) -> Done {
    let remote = Remote::connect(context).await?;
    let (sender, receiver) = remote.client.submit_ndjson().await?;
    let input: Box<dyn AsyncRead + Unpin> = if args.file == Path::new("-") {
        Box::new(tokio::io::stdin())
    } else {
        let file = tokio::fs::File::open(&args.file).await;
        Box::new(file.map_err(|error| Failure::io("read", &args.file, &error))?)
    };
    let mut run = Run {
        remote,
        context,
        lines: BufReader::new(input).lines(),
        sender: Some(sender),
        receiver,
        room: if args.one_by_one { 1 } else { UNANSWERED_MAX },
        waiting: VecDeque::new(),
        session: survey.session,
        session_made: false,
        number: 0,
        widths: survey.widths,
        bar: progress::bar(survey.lines, &context.out),
        tally: Tally::default(),
    };
    let begun = Instant::now();
    let end = run.run().await;
    run.bar.finish_and_clear();
    run.summary(begun);
    end
}

#[derive(Default)]
struct Tally {
    succeeded: u64,
    failed: u64,
    replayed: u64,
}

/// What happens next.
enum Step {
    Line(std::io::Result<Option<String>>),
    Answer(Result<Option<Value>, ClientError>),
    Patience,
}

struct Run<'a> {
    remote: Remote,
    context: &'a Context,
    lines: Lines<BufReader<Box<dyn AsyncRead + Unpin>>>,
    /// Where lines go; gone when all are sent.
    sender: Option<LineSender>,
    receiver: LineReceiver,
    room: usize,
    /// Lines sent and not answered, the oldest first.
    waiting: VecDeque<Sent>,
    session: Option<String>,
    session_made: bool,
    number: u64,
    widths: Widths,
    bar: ProgressBar,
    tally: Tally,
}

impl Run<'_> {
    async fn run(&mut self) -> Done {
        let mut watch = Watch::default();
        while self.sender.is_some() || !self.waiting.is_empty() {
            let more = self.sender.is_some() && self.waiting.len() < self.room;
            let due = !self.waiting.is_empty();
            // Each of these can be given up halfway without losing a line.
            let step = tokio::select! {
                biased;
                answer = self.receiver.next(), if due => Step::Answer(answer),
                line = self.lines.next_line(), if more => Step::Line(line),
                () = tokio::time::sleep(PATIENCE), if due => Step::Patience,
            };
            match step {
                Step::Answer(answer) => self.answered(answer)?,
                Step::Line(line) => self.line(line).await?,
                Step::Patience => {
                    let id = self
                        .waiting
                        .front()
                        .map(|sent| sent.id.clone())
                        .unwrap_or_default();
                    if watch.in_doubt(&self.remote, &id, &self.context.out).await {
                        return Ok(Exit::Waiting);
                    }
                }
            }
        }
        Ok(if self.tally.failed == 0 {
            Exit::Ok
        } else {
            Exit::Failed
        })
    }

    async fn line(&mut self, line: std::io::Result<Option<String>>) -> Result<(), Failure> {
        self.number += 1;
        let number = self.number;
        let line = line.map_err(|error| {
            Failure::new(
                ErrorCode::InvalidJson,
                format!("line {number} could not be read: {error}"),
            )
        })?;
        let Some(line) = line else {
            self.sender = None;
            return Ok(());
        };
        if line.trim().is_empty() {
            return Ok(());
        }
        let (line, id) = self.with_session(line).await?;
        self.waiting.push_back(Sent {
            number,
            id,
            at: Instant::now(),
        });
        if let Some(sender) = &self.sender
            && sender.send_text(line).await.is_err()
        {
            // Why is told by the side that reads answers.
            self.sender = None;
        }
        Ok(())
    }

    /// The line with a session where it needs one, and its id.
    async fn with_session(&mut self, line: String) -> Result<(String, String), Failure> {
        // What is no command is sent as it is: the daemon says what is wrong with it.
        let Ok(mut command) = serde_json::from_str::<Value>(&line) else {
            return Ok((line, String::new()));
        };
        let id = text(&command, "id").to_owned();
        let needs = command.get("sessionId").is_none() && mint::needs_session(text(&command, "type"));
        let (true, Some(session)) = (needs, self.session.clone()) else {
            return Ok((line, id));
        };
        if !self.session_made {
            mint::create(&self.remote, &session).await?;
            self.context.out.say(format_args!(
                "commands that name no session go to session {session}"
            ));
            self.session_made = true;
        }
        if let Value::Object(members) = &mut command {
            members.insert("sessionId".into(), session.into());
        }
        Ok((command.to_string(), id))
    }

    fn answered(&mut self, answer: Result<Option<Value>, ClientError>) -> Result<(), Failure> {
        let Some(sent) = self.waiting.pop_front() else {
            return Ok(());
        };
        match answer {
            Ok(Some(answer)) => self.show(&sent, &answer),
            Ok(None) => Err(broke_off(&sent, "the daemon ended")),
            Err(error) => Err(broke_off(&sent, &error.to_string())),
        }
    }

    fn show(&mut self, sent: &Sent, answer: &Value) -> Result<(), Failure> {
        let out = &self.context.out;
        match answer::exit(answer) {
            Exit::Ok => self.tally.succeeded += 1,
            _ => self.tally.failed += 1,
        }
        self.tally.replayed += u64::from(answer.get("replayed") == Some(&Value::Bool(true)));
        let line = if out.human() {
            answer::line(answer, Some(sent.at.elapsed()), self.widths, out)
        } else {
            answer.to_string()
        };
        self.bar.suspend(|| {
            out.line(line)?;
            if let (true, "refused", Some(fault)) = (out.human(), answer::outcome(answer), fault_of(answer)) {
                out.say(format_args!("  line {}: {}", sent.number, fault.hint_text()));
            }
            Ok::<(), Failure>(())
        })?;
        self.bar.inc(1);
        Ok(())
    }

    fn summary(&self, begun: Instant) {
        let tally = &self.tally;
        let mut parts = vec![format!("{} succeeded", shape::grouped(tally.succeeded))];
        if tally.failed > 0 {
            parts.push(format!("{} did not", shape::grouped(tally.failed)));
        }
        if tally.replayed > 0 {
            parts.push(format!(
                "{} answered from the record",
                shape::grouped(tally.replayed)
            ));
        }
        if !self.waiting.is_empty() {
            parts.push(format!(
                "{} not answered",
                shape::grouped(self.waiting.len() as u64)
            ));
        }
        let all = shape::count(tally.succeeded + tally.failed, "command");
        self.context.out.say(format_args!(
            "{all} in {}: {}",
            shape::duration(begun.elapsed()),
            parts.join(", ")
        ));
    }
}

fn broke_off(sent: &Sent, why: &str) -> Failure {
    let message = format!("{why} before line {} was answered", sent.number);
    Failure::new(ErrorCode::DaemonUnreachable, message)
        .hint("when it is back submit the same file again: lines with an id are never carried out twice")
}
