use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;

use crate::commands::import::ids::IdSource;
use crate::commands::import::line::{ImportEvent, LineDefaults};
use crate::failure::Failure;

/// Longest line, in bytes. An event of 1 MiB fits, with every character of it escaped as `\u00e9` would not: that
/// is a file to be written differently.
pub(super) const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Lines that are read ahead.
const LINES_AHEAD_MAX: usize = 64;

/// A file, or standard input.
pub(super) struct Source {
    name: PathBuf,
    input: Box<dyn BufRead + Send>,
    bytes: Option<u64>,
}

/// One line that was read.
#[derive(Debug)]
pub(super) struct Line {
    /// Its number, from 1.
    pub(super) number: u64,
    /// Bytes of the file so far, this line included.
    pub(super) bytes_read: u64,
    /// The event, nothing for an empty line, or why it is none.
    pub(super) parsed: Result<Option<ImportEvent>, String>,
}

impl Source {
    /// # Errors
    /// When the file cannot be opened.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let name = path.to_path_buf();
        if path.as_os_str() == "-" {
            return Ok(Self { name, input: Box::new(BufReader::new(io::stdin())), bytes: None });
        }
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = opened
            .map_err(|error| Failure::usage(format!("cannot read {}", path.display())).because(error))?;
        let bytes = metadata.is_file().then_some(metadata.len());
        Ok(Self { name, input: Box::new(BufReader::new(file)), bytes })
    }

    /// Size of the whole, where it is known.
    pub(super) fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// Reads and parses in a thread of its own, because standard input may block for ever; it ends with the
    /// receiver.
    pub(super) fn read(self, defaults: LineDefaults) -> mpsc::Receiver<Result<Line, Failure>> {
        let (sender, receiver) = mpsc::channel(LINES_AHEAD_MAX);
        std::thread::spawn(move || {
            let Self { name, mut input, .. } = self;
            let mut ids = IdSource::default();
            let (mut number, mut bytes_read) = (0, 0);
            loop {
                number += 1;
                let line = match next_line(&mut input) {
                    Ok(None) => return,
                    Ok(Some((length, text))) => {
                        bytes_read += length;
                        Ok(Line { number, bytes_read, parsed: parse(number, text, &defaults, &mut ids) })
                    }
                    Err(error) => {
                        Err(Failure::internal(format!("cannot read {}", name.display())).because(error))
                    }
                };
                let last = line.is_err();
                if sender.blocking_send(line).is_err() || last {
                    return;
                }
            }
        });
        receiver
    }
}

fn parse(
    number: u64,
    text: Result<String, String>,
    defaults: &LineDefaults,
    ids: &mut IdSource,
) -> Result<Option<ImportEvent>, String> {
    let text = text?;
    // Some programs begin a file with a byte order mark.
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Ok(None);
    }
    ImportEvent::parse(number, text, defaults, ids).map(Some)
}

/// The next line with its length in the file, or why it is no text. Of a line that is too long, only its end is
/// looked for: it is never held.
fn next_line(input: &mut dyn BufRead) -> io::Result<Option<(u64, Result<String, String>)>> {
    let mut line = Vec::new();
    let limit = LINE_BYTES_MAX as u64 + 1;
    let mut length = input.take(limit).read_until(b'\n', &mut line)? as u64;
    if length == 0 {
        return Ok(None);
    }
    if length == limit && line.last() != Some(&b'\n') {
        length += input.skip_until(b'\n')? as u64;
        let reason = format!("has {length} bytes, the limit of a line is {LINE_BYTES_MAX}");
        return Ok(Some((length, Err(reason))));
    }
    let text = String::from_utf8(line)
        .map_err(|error| format!("is not UTF-8 from byte {} on", error.utf8_error().valid_up_to() + 1));
    Ok(Some((length, text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_or_no_text_does_not_end_the_reading() {
        let mut file = vec![b'x'; LINE_BYTES_MAX + 5];
        file.extend_from_slice(b"\na\xff\r\n\nlast");
        let mut input = file.as_slice();
        let mut lines = Vec::new();
        while let Some((length, text)) = next_line(&mut input).unwrap() {
            lines.push((length, text));
        }
        let too_long = LINE_BYTES_MAX as u64 + 6;
        assert_eq!(
            lines[0],
            (too_long, Err(format!("has {too_long} bytes, the limit of a line is {LINE_BYTES_MAX}")))
        );
        assert_eq!(lines[1], (4, Err("is not UTF-8 from byte 2 on".to_owned())));
        assert_eq!(lines[2], (1, Ok("\n".to_owned())));
        assert_eq!(lines[3], (4, Ok("last".to_owned())));
        assert_eq!(lines.len(), 4);
    }
}
