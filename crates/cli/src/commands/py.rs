//! `actum py` and `actum sh`: code in a session of its own, or a prompt that keeps one.

use super::run::{all_of_stdin, last_line};
use crate::context::Context;
use crate::execution::{Ended, Stage, Watcher, code_of};
use crate::failure::{Done, Exit, Failure, fault_of};
use crate::folder::{Folder, FolderArgs, Made};
use crate::keyboard::{self, Key};
use crate::mint;
use crate::remote::{Remote, block_on};
use crate::shape::text;
use crate::unfinished;
use actum_model::ErrorCode;
use actum_model::limits::CODE_BYTES_MAX;
use clap::Args as ClapArgs;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// Flags of `py` and `sh`.
#[derive(ClapArgs, Clone, Debug)]
#[command(
    after_help = "Examples:\n  actum py 'sum(range(10))'\n  actum py report.py\n  echo 'print(1)' | actum py -\n  \
    actum py -i\n  actum py --session lab 'x = 1' && actum py --session lab 'x + 1'\n\n\
    The value of the last expression is printed, tracebacks go to standard error, and what the code reads with input()\n\
    is asked for here. Ctrl-C interrupts the code, a second one cancels the command, a third does not wait.\n\
    At the prompt Ctrl-C clears the line and Ctrl-D ends. The session is deleted at the end unless it was named with\n\
    --session or is kept with --keep.\n\n\
    Ends with 0 where the code did, 1 where it failed, 3 where nobody knows."
)]
pub(crate) struct Args {
    /// Code, or a file of it that ends in .py, .sh or .bash; `-` is standard input
    #[arg(
        value_name = "CODE|FILE|-",
        required_unless_present = "interactive",
        allow_hyphen_values = true
    )]
    code: Option<String>,
    /// A prompt that keeps its session; code that is named as well is run first
    #[arg(short, long)]
    interactive: bool,
    /// Use this session; it is made if there is none, and kept
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Keep the session that is made, and say its name
    #[arg(long, conflicts_with = "session")]
    keep: bool,
    #[command(flatten)]
    folder: FolderArgs,
    /// How long each piece of code may run, such as 500ms, 90s, 10m
    #[arg(long, value_name = "DURATION", value_parser = super::timer::duration_ms)]
    timeout: Option<u64>,
    /// What becomes of changed names where the code fails
    #[arg(long, value_name = "MODE", value_parser = ["commit_always", "rollback_on_failure", "rollback_always"])]
    transaction: Option<String>,
}

pub(crate) fn py(args: &Args, context: &Context) -> Done {
    block_on(run(args, "python", context))
}

pub(crate) fn sh(args: &Args, context: &Context) -> Done {
    block_on(run(args, "shell", context))
}

/// Code with the name it has in tracebacks.
struct Source {
    code: String,
    name: Option<String>,
}

/// One piece of work with a session.
struct Work<'a> {
    args: &'a Args,
    kind: &'static str,
    context: &'a Context,
    watcher: Watcher<'a>,
    session: String,
    /// The session, where it was made here.
    made: Option<(Made, Folder)>,
}

async fn run(args: &Args, kind: &'static str, context: &Context) -> Done {
    let source = args.code.as_deref().map(read).transpose()?;
    let remote = Remote::connect(context).await?;
    let mut work = Work {
        args,
        kind,
        context,
        watcher: Watcher::new(&remote, &context.out).await?,
        session: String::new(),
        made: None,
    };
    let begun = Instant::now();
    let first = work.open(source.as_ref(), &remote).await?;
    let done = match (source.is_some(), args.interactive) {
        (true, false) => work.tell(&first, Some(begun.elapsed())),
        (_, interactive) => {
            let said = if source.is_some() {
                work.tell(&first, None)
            } else {
                work.ready(&first)
            };
            match said {
                Ok(_) if interactive => work.prompt().await,
                said => said,
            }
        }
    };
    let closed = work.close(&remote).await;
    // Where the daemon is gone, that it is so is what matters, and not that the session could not be deleted.
    let exit = done?;
    closed.map(|()| exit)
}

/// The code that an argument stands for.
fn read(argument: &str) -> Result<Source, Failure> {
    if argument == "-" {
        let code = all_of_stdin(CODE_BYTES_MAX, "code")?;
        return Ok(Source {
            code,
            name: Some("<stdin>".to_owned()),
        });
    }
    let path = Path::new(argument);
    let ending = path
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default();
    if !["py", "sh", "bash"].contains(&ending) || argument.contains('\n') {
        return Ok(Source {
            code: argument.to_owned(),
            name: None,
        });
    }
    let code = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(
            ErrorCode::NotFound,
            format!("could not read `{argument}`: {error}"),
        )
        .hint("what ends in .py, .sh or .bash is a file of code; put a `;` behind it if it is code itself")
    })?;
    Ok(Source {
        code,
        name: Some(argument.to_owned()),
    })
}

impl Work<'_> {
    /// Finds or makes the session and runs the first code in it, which may be none: that starts its process.
    async fn open(&mut self, source: Option<&Source>, remote: &Remote) -> Result<Ended, Failure> {
        if let Some(named) = &self.args.session {
            self.session.clone_from(named);
            let known = remote.read_session("session.get", named).await;
            if !matches!(&known, Err(Failure::Fault(fault)) if fault.code == ErrorCode::SessionNotFound) {
                known?;
                if self.args.folder.is_given() {
                    self.context
                        .out
                        .say(format_args!("session {named} has its folders already"));
                }
                self.watcher.live.follow(named).await?;
                return self.execute(source).await;
            }
        }
        let mut choices = self.args.folder.choices()?.into_iter().peekable();
        while let Some(folder) = choices.next() {
            let prefix = if self.kind == "python" { "py" } else { "sh" };
            let session = self
                .args
                .session
                .clone()
                .map_or_else(|| mint::fresh(prefix), Ok)?;
            let made = Made::new(remote, session, self.kind, &folder).await?;
            self.session.clone_from(&made.session);
            self.made = Some((made.clone(), folder.clone()));
            self.watcher.live.follow(&made.session).await?;
            let ended = self.execute(source).await?;
            if let Ended::Answered(answer) = &ended
                && choices.peek().is_some()
                && let Some(why) = folder.refused(answer)
            {
                self.context
                    .out
                    .say(format_args!("{why}, so it gets a private folder"));
                made.delete(remote).await?;
                continue;
            }
            return Ok(ended);
        }
        Ok(Ended::Left)
    }

    async fn execute(&mut self, source: Option<&Source>) -> Result<Ended, Failure> {
        let code = source.map_or("", |source| source.code.as_str());
        let name = source.and_then(|source| source.name.as_deref());
        let id = mint::fresh(if self.kind == "python" { "py" } else { "sh" })?;
        let mut payload = json!({"code": code});
        let mut envelope = json!({"type": "code.run", "id": id, "sessionId": self.session});
        if let (Value::Object(payload), Some(name)) = (&mut payload, name) {
            payload.insert("source".into(), name.into());
        }
        if let (Value::Object(payload), Some(mode)) = (&mut payload, &self.args.transaction) {
            payload.insert("transaction".into(), mode.as_str().into());
        }
        if let Value::Object(members) = &mut envelope {
            members.insert("payload".into(), payload);
            if let Some(ms) = self.args.timeout {
                members.insert("timeoutMs".into(), ms.into());
            }
        }
        self.watcher
            .carry(&envelope, &[Stage::Interrupt, Stage::Cancel])
            .await
    }

    /// What the session is, before the first prompt.
    fn ready(&self, first: &Ended) -> Done {
        let Ended::Answered(answer) = first else {
            return self.tell(first, None);
        };
        if let Some(fault) = fault_of(answer) {
            return Err(fault.into());
        }
        if self.context.out.human() {
            let level = answer.pointer("/data/sandbox/level").and_then(Value::as_str);
            let level = level
                .map(|level| format!(" · sandbox {level}"))
                .unwrap_or_default();
            let folder = match &self.made {
                Some((_, Folder::Own(folder))) => format!(" · {} is /work", folder.display()),
                Some((_, Folder::ToRead(folder))) => format!(" · {} is /folders/1", folder.display()),
                Some((_, Folder::Private)) => " · a private folder is /work".to_owned(),
                Some((_, Folder::Nothing)) | None => String::new(),
            };
            let line = format!(
                "{} session {}{level}{folder} · Ctrl-D ends",
                self.kind, self.session
            );
            self.context.out.say(self.context.out.paint_err.dim(line));
        }
        Ok(Exit::Ok)
    }

    /// Shows value or error. `whole`: how long all took, where this is the only code.
    fn tell(&self, ended: &Ended, whole: Option<Duration>) -> Done {
        let out = &self.context.out;
        let answer = match ended {
            Ended::Answered(answer) => answer,
            Ended::InDoubt => return Ok(Exit::Waiting),
            Ended::Left => {
                out.say("left; what runs is being stopped");
                return Ok(Exit::Program(130));
            }
        };
        if !out.human() {
            out.json(answer)?;
            return Ok(crate::answer::exit(answer));
        }
        let data = answer.get("data").unwrap_or(&Value::Null);
        // A shell's value is an exit code, which is said where it matters.
        if self.kind == "python" {
            let repr = data
                .get("repr")
                .and_then(Value::as_str)
                .filter(|repr| *repr != "None");
            repr.map_or(Ok(()), |repr| out.line(repr))?;
        }
        self.tell_error(answer, data);
        if let Some(took) = whole {
            let place = self.made.as_ref().map(|(made, folder)| self.place(made, folder));
            out.say(last_line(answer, took, &place.unwrap_or_default(), self.context));
        }
        Ok(
            match data
                .get("exitCode")
                .and_then(Value::as_u64)
                .and_then(|code| u8::try_from(code).ok())
            {
                Some(code) if code > 0 => Exit::Program(code),
                _ => crate::answer::exit(answer),
            },
        )
    }

    fn place(&self, made: &Made, folder: &Folder) -> String {
        match folder {
            Folder::Private if self.keeps() => {
                format!(
                    "{}, session {} is kept",
                    folder.told(made, self.context),
                    made.session
                )
            }
            Folder::Private => "its private folder went with it (--keep keeps both)".to_owned(),
            folder => folder.told(made, self.context),
        }
    }

    fn keeps(&self) -> bool {
        self.args.keep || self.args.session.is_some()
    }

    fn tell_error(&self, answer: &Value, data: &Value) {
        let out = &self.context.out;
        let traceback = data
            .pointer("/error/traceback")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !traceback.is_empty() {
            out.say(traceback.trim_end_matches('\n'));
            let notes = data.pointer("/error/notes").and_then(Value::as_array);
            for note in notes.into_iter().flatten().filter_map(Value::as_str) {
                if !traceback.contains(note) {
                    out.say(note);
                }
            }
        } else if data.get("exitCode").is_none()
            && let Some(fault) = fault_of(answer)
        {
            out.fault(&fault);
        }
        if text(data, "session") == "lost" {
            out.say("the names of the session are lost; the next code starts in an empty one");
        }
    }

    /// Reads and runs until Ctrl-D.
    async fn prompt(&mut self) -> Done {
        let mut code = String::new();
        loop {
            let mark = if code.is_empty() { ">>> " } else { "... " };
            self.watcher
                .keyboard
                .ask(if keyboard::is_terminal() { mark } else { "" }, true);
            let key = self.watcher.keyboard.key().await;
            match key {
                Key::Ended if code.is_empty() => return Ok(Exit::Ok),
                Key::Ended => {}
                Key::Interrupted => {
                    code.clear();
                    continue;
                }
                Key::Line(line) => {
                    if !code.is_empty() {
                        code.push('\n');
                    }
                    code.push_str(&line);
                    let more = if self.kind == "python" {
                        unfinished::python(&code)
                    } else {
                        unfinished::shell(&code)
                    };
                    if more {
                        continue;
                    }
                }
            }
            if code.trim().is_empty() {
                code.clear();
                continue;
            }
            let source = Source {
                code: std::mem::take(&mut code),
                name: None,
            };
            let ended = self.execute(Some(&source)).await?;
            self.tell(&ended, None)?;
            match &ended {
                Ended::Answered(answer) if code_of(answer) == Some(ErrorCode::SessionNotFound) => {
                    return Ok(Exit::Failed);
                }
                Ended::Answered(_) => {}
                Ended::InDoubt => return Ok(Exit::Waiting),
                Ended::Left => return Ok(Exit::Program(130)),
            }
        }
    }

    /// Deletes the session, unless it stays.
    async fn close(&self, remote: &Remote) -> Result<(), Failure> {
        let Some((made, _)) = &self.made else {
            return Ok(());
        };
        if !self.keeps() {
            return made.delete(remote).await;
        }
        if self.context.out.human() {
            self.context.out.say(format_args!(
                "session {} is kept; `actum session close {0}` drops it",
                made.session
            ));
        }
        Ok(())
    }
}
