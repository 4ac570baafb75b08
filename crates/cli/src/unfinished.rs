//! Whether what was typed at a prompt goes on in the next line. It is a guess from brackets, quotes and colons: what it
//! takes for finished too early is told by the interpreter, and nothing is ever changed.

/// Where a reader of Python stands.
#[derive(Default)]
struct Scan {
    depth: i64,
    /// The quote of the string it is in, and whether that is a triple one.
    quote: Option<(char, bool)>,
    /// The last character that is no space and no comment.
    last: Option<char>,
    /// A line outside of brackets and strings ended with a colon or began with a decorator.
    compound: bool,
}

/// Whether Python code wants more lines. A block ends with an empty line, as at Python's own prompt.
pub(crate) fn python(code: &str) -> bool {
    let mut scan = Scan::default();
    let mut backslash = false;
    for line in code.split('\n') {
        backslash = scan.line(line);
    }
    if matches!(scan.quote, Some((_, true))) || scan.depth > 0 || backslash {
        return true;
    }
    let last = code.rsplit('\n').next().unwrap_or_default();
    scan.compound && !last.trim().is_empty()
}

impl Scan {
    /// Reads a line; whether it ends with a backslash that joins the next one.
    fn line(&mut self, line: &str) -> bool {
        let outside = self.depth <= 0 && self.quote.is_none();
        self.compound |= outside && line.starts_with('@');
        self.last = None;
        let mut rest = line.chars();
        while let Some(c) = rest.next() {
            match self.quote {
                Some(_) if c == '\\' => {
                    if rest.next().is_none() {
                        return true;
                    }
                }
                Some((quote, triple)) if c == quote => {
                    if !triple {
                        self.quote = None;
                    } else if rest.as_str().starts_with(&format!("{quote}{quote}")) {
                        rest.nth(1);
                        self.quote = None;
                    }
                }
                Some(_) => {}
                None if c == '#' => break,
                None => self.outside(c, &mut rest),
            }
        }
        // A string in single quotes ends with its line.
        if matches!(self.quote, Some((_, false))) {
            self.quote = None;
        }
        let over = self.depth <= 0 && self.quote.is_none();
        self.compound |= over && self.last == Some(':');
        over && self.last == Some('\\')
    }

    fn outside(&mut self, c: char, rest: &mut std::str::Chars<'_>) {
        match c {
            '"' | '\'' => {
                let triple = rest.as_str().starts_with(&format!("{c}{c}"));
                if triple {
                    rest.nth(1);
                }
                self.quote = Some((c, triple));
            }
            '(' | '[' | '{' => self.depth += 1,
            ')' | ']' | '}' => self.depth -= 1,
            _ => {}
        }
        if !c.is_whitespace() {
            self.last = Some(c);
        }
    }
}

/// Whether lines of a shell want more: an open quote or a backslash at the end.
pub(crate) fn shell(code: &str) -> bool {
    let mut quote = None;
    let mut chars = code.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), _) => {}
            // The character behind it stands for itself.
            (_, '\\') if chars.next().is_none() => return true,
            (None, '\'' | '"') => quote = Some(c),
            _ => {}
        }
    }
    quote.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_that_is_whole_is_taken_at_once() {
        for whole in [
            "1 + 1",
            "print('a:')",
            "x = {'a': 1}",
            "'''a'''",
            "x = 1 # :",
            "def f():\n    return 1\n",
            "if x: y = 1\n",
            "'never closed",
            ")",
            "s = 'it\\'s'",
        ] {
            assert!(!python(whole), "{whole:?}");
        }
    }

    #[test]
    fn python_that_goes_on_waits_for_more() {
        for more in [
            "def f():",
            "def f():\n    return 1",
            "for x in [1,\n",
            "f(",
            "'''a",
            "x = '''a\n\n",
            "1 + \\",
            "@cached",
            "if x:  # why",
            "class A:\n    def f(self):\n        pass",
        ] {
            assert!(python(more), "{more:?}");
        }
    }

    #[test]
    fn lines_of_a_shell_go_on_in_quotes_and_behind_a_backslash() {
        assert!(shell("echo 'a") && shell("echo \\") && shell("echo \"it's"));
        assert!(!shell("echo 'a\\' b") && !shell("echo \"a\" \\'"));
    }
}
