//! What to do about an error, said to a model: it has tools, where people have a command line. Codes that are not here
//! keep the hint they came with.

use actum_model::ErrorCode;

/// What a model reads instead of `hint`; `None` where that stands. A hint that was made for the very case says more than
/// one for its code, unless it sends the reader to the command line.
pub(crate) fn instead_of(hint: &str, code: &str, id: &str) -> Option<String> {
    let known = ErrorCode::ALL
        .iter()
        .copied()
        .find(|known| known.as_str() == code)?;
    let general = hint.is_empty() || hint == known.hint() || hint.contains("`actum ");
    if general { of(known, id) } else { None }
}

fn of(code: ErrorCode, id: &str) -> Option<String> {
    let hint = match code {
        ErrorCode::InvalidInput => "call again with arguments that fit the tool's input schema",
        ErrorCode::CommandFailed => "its output, in `result`, says why",
        ErrorCode::ExecutionFailed => "the traceback in `result` says why; names defined before it are kept",
        ErrorCode::CommandNotFound => "history lists the commands there are",
        ErrorCode::TimedOut => "give a larger timeoutMs, or do less in one call",
        ErrorCode::Cancelled => "call again if it is still wanted",
        ErrorCode::Interrupted => "nothing outside was touched: call again if it is still wanted",
        ErrorCode::DidNotHappen => "it did not happen: call again if it is still wanted",
        ErrorCode::OutcomeExpired => "history has what is still known of it",
        ErrorCode::RateLimited | ErrorCode::Busy | ErrorCode::ShuttingDown | ErrorCode::PoolExhausted => {
            "nothing was done: wait a little, then call again"
        }
        ErrorCode::Unauthenticated => "ask the user: the token of this server is missing, wrong or revoked",
        ErrorCode::NotGranted | ErrorCode::HostRefused | ErrorCode::PathOutside => {
            "the operator has not granted this: use what is granted, or ask the user to grant it to the daemon \
             (--grant-file, --grant-http)"
        }
        ErrorCode::SessionKind => {
            "the session of this server runs no code: ask the user to start the server with another --session"
        }
        ErrorCode::WorkerFailed => {
            "the process of the session is gone: call again, it is started anew without its names"
        }
        ErrorCode::Retried => {
            return Some("a person ordered a retry: ask command_wait for the id in details.retriedBy".into());
        }
        ErrorCode::InDoubt => {
            return Some(format!(
                "do not do it again: a person has to look, and to say `actum resolve {id} --as landed|did_not_happen|retry`; until \
                 then its lane holds. command_wait with id `{id}` tells what came of it, history what else was done"
            ));
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_for_a_model_names_tools_and_no_command_line_it_does_not_have() {
        for code in ErrorCode::ALL {
            let hint = instead_of(code.hint(), code.as_str(), "a.1").unwrap_or_default();
            assert!(
                !hint.contains("`actum ") || hint.contains("person"),
                "{code:?}: {hint}"
            );
        }
        assert!(
            instead_of("", "IN_DOUBT", "a.1")
                .unwrap()
                .contains("command_wait with id `a.1`")
        );
        assert_eq!(instead_of("", "NEWER", "a"), None);
    }

    #[test]
    fn a_hint_for_the_very_case_stands() {
        assert_eq!(instead_of("grant /srv", "NOT_GRANTED", "a"), None);
        assert!(instead_of("read it with `actum show a`", "COMMAND_FAILED", "a").is_some());
    }
}
