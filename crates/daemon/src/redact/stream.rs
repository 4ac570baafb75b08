//! Takes known secrets out of a stream of bytes, wherever its chunks are cut.
//!
//! What could be the beginning of a secret is held back until more comes or the stream ends; everything else
//! passes at once. Matches that overlap are taken out together, so that no end of one of them stays.

use super::{Secret, forms, text_marker};
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use std::sync::Arc;

/// The redactor of one stream. A clone begins a stream of its own.
#[derive(Debug, Default)]
pub struct OutputRedactor {
    /// None: nothing to look for.
    patterns: Option<Arc<Patterns>>,
    /// The end of what came, which could be the beginning of a secret.
    held: Vec<u8>,
    /// How many of the held bytes belong to a secret whose marker is written already.
    covered: usize,
}

impl Clone for OutputRedactor {
    fn clone(&self) -> OutputRedactor {
        OutputRedactor {
            patterns: self.patterns.clone(),
            ..OutputRedactor::default()
        }
    }
}

struct Patterns {
    finder: AhoCorasick,
    /// Ascending, so that the pattern a suffix begins is found by halving.
    sorted: Vec<Vec<u8>>,
    /// Marker of each pattern.
    markers: Vec<Arc<str>>,
    first: [bool; 256],
    longest: usize,
}

impl std::fmt::Debug for Patterns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Patterns({})", self.sorted.len())
    }
}

impl OutputRedactor {
    /// Looks for these secrets in all their forms.
    #[must_use]
    pub fn new(secrets: &[Secret]) -> OutputRedactor {
        OutputRedactor {
            patterns: Patterns::new(secrets).map(Arc::new),
            ..OutputRedactor::default()
        }
    }

    /// Takes the next bytes and appends to `out` what may pass.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let Some(patterns) = self.patterns.clone() else {
            out.extend_from_slice(bytes);
            return;
        };
        let mut window = std::mem::take(&mut self.held);
        window.extend_from_slice(bytes);
        let cut = patterns.cut(&window);
        let done = self.write(&patterns, &window, cut, out);
        self.covered = done.saturating_sub(cut);
        self.held = window.split_off(cut);
    }

    /// The stream has ended: what was held back is no beginning of anything.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        let (mut out, window) = (Vec::new(), std::mem::take(&mut self.held));
        if let Some(patterns) = self.patterns.clone() {
            self.write(&patterns, &window, window.len(), &mut out);
        }
        self.covered = 0;
        out
    }

    /// A text by itself.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let (mut whole, mut out) = (self.clone(), Vec::new());
        whole.push(text.as_bytes(), &mut out);
        out.extend(whole.finish());
        // Patterns are whole characters except in base64 and the like, which is ASCII: nothing is cut.
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Writes the window up to `cut` and returns where the last secret that begins before it ends.
    fn write(&self, patterns: &Patterns, window: &[u8], cut: usize, out: &mut Vec<u8>) -> usize {
        let mut done = self.covered;
        for span in patterns.spans(window, self.covered) {
            if span.start >= cut {
                break;
            }
            out.extend_from_slice(window.get(done..span.start).unwrap_or_default());
            out.extend_from_slice(span.marker.unwrap_or_default().as_bytes());
            done = span.end;
        }
        out.extend_from_slice(window.get(done..cut).unwrap_or_default());
        done
    }
}

/// Bytes to take out; without a marker where it is written already.
struct Span<'a> {
    start: usize,
    end: usize,
    marker: Option<&'a str>,
}

impl Patterns {
    fn new(secrets: &[Secret]) -> Option<Patterns> {
        let mut all: Vec<(Vec<u8>, Arc<str>)> = Vec::new();
        for secret in secrets {
            let marker: Arc<str> = text_marker(secret.class, &secret.reference).into();
            all.extend(
                forms::of(&secret.value)
                    .into_iter()
                    .map(|form| (form, Arc::clone(&marker))),
            );
        }
        all.sort();
        all.dedup_by(|later, earlier| later.0 == earlier.0);
        let (sorted, markers): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let longest = sorted.iter().map(Vec::len).max()?;
        let mut first = [false; 256];
        for byte in sorted.iter().filter_map(|pattern| pattern.first()) {
            if let Some(slot) = first.get_mut(usize::from(*byte)) {
                *slot = true;
            }
        }
        let kind = Some(AhoCorasickKind::ContiguousNFA);
        let finder = AhoCorasick::builder().kind(kind).build(&sorted).ok()?;
        Some(Patterns {
            finder,
            sorted,
            markers,
            first,
            longest,
        })
    }

    /// All matches as spans that do not overlap, ascending, after a covered beginning.
    fn spans(&self, window: &[u8], covered: usize) -> Vec<Span<'_>> {
        let mut matches: Vec<_> = self.finder.find_overlapping_iter(window).collect();
        matches.sort_by_key(|found| (found.start(), std::cmp::Reverse(found.end())));
        let mut spans = vec![Span {
            start: 0,
            end: covered,
            marker: None,
        }];
        for found in matches {
            match spans.last_mut() {
                Some(last) if found.start() < last.end => last.end = last.end.max(found.end()),
                _ => {
                    let marker = self.markers.get(found.pattern().as_usize()).map(AsRef::as_ref);
                    spans.push(Span {
                        start: found.start(),
                        end: found.end(),
                        marker,
                    });
                }
            }
        }
        spans
    }

    /// Where the first suffix begins that more bytes could make a secret.
    fn cut(&self, window: &[u8]) -> usize {
        let from = window.len().saturating_sub(self.longest - 1);
        (from..window.len())
            .find(|at| self.begins(window.get(*at..).unwrap_or_default()))
            .unwrap_or(window.len())
    }

    /// Whether a longer pattern begins with these bytes.
    fn begins(&self, bytes: &[u8]) -> bool {
        let possible = |byte: &u8| self.first.get(usize::from(*byte)) == Some(&true);
        if !bytes.first().is_some_and(possible) {
            return false;
        }
        // The pattern that equals the bytes, if there is one, comes right before those that go on.
        let at = self.sorted.partition_point(|pattern| pattern.as_slice() <= bytes);
        self.sorted
            .get(at)
            .is_some_and(|pattern| pattern.starts_with(bytes))
    }
}
