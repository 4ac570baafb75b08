//! Lines from whoever sits at the terminal, or from what standard input leads to. A thread of its own reads, because a
//! read cannot be given up: what is typed after nobody asks any more is the answer to the next question. Whoever ends
//! while it reads gives the terminal back as it was.

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::error::ReadlineError;
use rustyline::history::{History, MemHistory};
use rustyline::{Config, Editor};
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::mpsc as blocking;
use tokio::sync::mpsc;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// A line, without its end.
    Line(String),
    /// Ctrl-C instead of a line.
    Interrupted,
    /// Ctrl-D, or standard input is over.
    Ended,
}

struct Ask {
    prompt: String,
    /// The line is one of those that the up key brings back.
    keep: bool,
}

/// See the head of the file.
#[derive(Default)]
pub(crate) struct Keyboard {
    reader: Option<(blocking::Sender<Ask>, mpsc::UnboundedReceiver<Key>)>,
    asked: bool,
    /// How the terminal is while no line is asked for.
    plain: Option<Termios>,
}

/// The line editor is in the middle of a line: it has the terminal hand it every key and mark what is pasted.
impl Drop for Keyboard {
    fn drop(&mut self) {
        if let (true, Some(plain)) = (self.asked, &self.plain) {
            let _nobody = io::stdout().write_all(b"\x1b[?2004l\r\n");
            let _nobody = io::stdout().flush();
            let _gone = tcsetattr(io::stdin(), OptionalActions::Now, plain);
        }
    }
}

impl Keyboard {
    /// Asks for a line. While one is asked for, asking again changes nothing.
    pub(crate) fn ask(&mut self, prompt: &str, keep: bool) {
        if self.asked {
            return;
        }
        if is_terminal() {
            self.plain = tcgetattr(io::stdin()).ok();
        }
        let (asks, _) = self.reader.get_or_insert_with(start);
        let prompt = prompt.to_owned();
        // A reader that is gone is told by its channel of keys.
        let _gone = asks.send(Ask { prompt, keep });
        self.asked = true;
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.asked
    }

    /// What was typed. A caller may drop the future that waits for it.
    pub(crate) async fn key(&mut self) -> Key {
        let key = match &mut self.reader {
            Some((_, keys)) => keys.recv().await.unwrap_or(Key::Ended),
            None => Key::Ended,
        };
        self.asked = false;
        key
    }
}

/// Whether somebody sits there.
pub(crate) fn is_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

fn start() -> (blocking::Sender<Ask>, mpsc::UnboundedReceiver<Key>) {
    let (asks_in, asks) = blocking::channel();
    let (keys_in, keys) = mpsc::unbounded_channel();
    // It ends with the process: nothing else ends a read of a terminal.
    std::thread::spawn(move || {
        if is_terminal() {
            edited(&asks, &keys_in);
        } else {
            plain(&asks, &keys_in);
        }
    });
    (asks_in, keys)
}

fn edited(asks: &blocking::Receiver<Ask>, keys: &mpsc::UnboundedSender<Key>) {
    let Ok(mut editor) = Editor::<(), MemHistory>::with_history(Config::default(), MemHistory::new()) else {
        return plain(asks, keys);
    };
    for ask in asks {
        let key = match editor.readline(&ask.prompt) {
            Ok(line) => {
                if ask.keep && !line.trim().is_empty() {
                    let _kept = editor.history_mut().add(&line);
                }
                Key::Line(line)
            }
            Err(ReadlineError::Interrupted) => Key::Interrupted,
            Err(_) => Key::Ended,
        };
        if keys.send(key).is_err() {
            return;
        }
    }
}

fn plain(asks: &blocking::Receiver<Ask>, keys: &mpsc::UnboundedSender<Key>) {
    for ask in asks {
        // The prompts of the command line itself are for terminals; those of code are part of what it says.
        if !ask.keep && !ask.prompt.is_empty() {
            let _nobody = write!(io::stderr(), "{}", ask.prompt);
        }
        let mut line = String::new();
        let key = match io::stdin().lock().read_line(&mut line) {
            Ok(0) | Err(_) => Key::Ended,
            Ok(_) => Key::Line(line.strip_suffix('\n').unwrap_or(&line).to_owned()),
        };
        if keys.send(key).is_err() {
            return;
        }
    }
}
