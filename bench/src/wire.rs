//! A lean WebSocket client for load: frames are written with a zero mask and read without copying, so that
//! what is measured is the daemon.

use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// The reading half.
pub(crate) struct Reading {
    stream: OwnedReadHalf,
    buffer: Vec<u8>,
    from: usize,
}

/// The writing half.
pub(crate) struct Writing {
    stream: OwnedWriteHalf,
    buffer: Vec<u8>,
}

/// Opens a WebSocket to `/v1/ws`.
pub(crate) async fn connect(address: SocketAddr) -> Result<(Reading, Writing)> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut read, mut write) = stream.into_split();
    let request = format!(
        "GET /v1/ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    write.write_all(request.as_bytes()).await?;
    let mut buffer = Vec::with_capacity(64 * 1024);
    let end = loop {
        if read.read_buf(&mut buffer).await? == 0 {
            bail!("the daemon closed the connection");
        }
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
    };
    if !buffer.starts_with(b"HTTP/1.1 101") {
        bail!("no WebSocket: {}", String::from_utf8_lossy(&buffer));
    }
    let mut reading = Reading {
        stream: read,
        buffer,
        from: end,
    };
    // The greeting.
    reading.next().await?;
    Ok((
        reading,
        Writing {
            stream: write,
            buffer: Vec::with_capacity(64 * 1024),
        },
    ))
}

impl Writing {
    /// Puts a text message into the buffer.
    pub(crate) fn put(&mut self, text: &[u8]) {
        self.buffer.push(0x81);
        match u16::try_from(text.len()) {
            Ok(short) if short < 126 => self.buffer.push(0x80 | short as u8),
            Ok(long) => {
                self.buffer.push(0x80 | 126);
                self.buffer.extend(long.to_be_bytes());
            }
            Err(_) => {
                self.buffer.push(0x80 | 127);
                self.buffer.extend((text.len() as u64).to_be_bytes());
            }
        }
        self.buffer.extend([0; 4]);
        self.buffer.extend_from_slice(text);
    }

    /// Sends what is in the buffer.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.buffer).await?;
        self.buffer.clear();
        Ok(())
    }
}

impl Reading {
    /// The next text message, whole. Pings are not answered: a rung is over before they matter.
    pub(crate) async fn next(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some((opcode, payload)) = self.frame()? {
                match opcode {
                    1 => return Ok(payload),
                    8 => bail!(
                        "the daemon closed the connection: {}",
                        String::from_utf8_lossy(&payload)
                    ),
                    _ => continue,
                }
            }
            self.fill().await?;
        }
    }

    /// Takes messages that are here already, and waits for one if there is none. Gives their count; fails if
    /// one does not say success.
    pub(crate) async fn successes(&mut self) -> Result<usize> {
        let mut count = 0;
        loop {
            while let Some((opcode, payload)) = self.frame()? {
                if opcode == 1 {
                    check(&payload)?;
                    count += 1;
                }
            }
            if count > 0 {
                return Ok(count);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<()> {
        self.buffer.drain(..self.from);
        self.from = 0;
        self.buffer.reserve(64 * 1024);
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the daemon closed the connection");
        }
        Ok(())
    }

    /// The next whole frame in the buffer.
    fn frame(&mut self) -> Result<Option<(u8, Vec<u8>)>> {
        let rest = self.buffer.get(self.from..).unwrap_or_default();
        let [first, second, tail @ ..] = rest else {
            return Ok(None);
        };
        let (head, length) = match second & 0x7f {
            126 => match tail {
                [a, b, ..] => (4, usize::from(u16::from_be_bytes([*a, *b]))),
                _ => return Ok(None),
            },
            127 => match tail.first_chunk::<8>() {
                Some(bytes) => (10, usize::try_from(u64::from_be_bytes(*bytes))?),
                None => return Ok(None),
            },
            short => (2, usize::from(short)),
        };
        let Some(payload) = rest.get(head..head + length) else {
            return Ok(None);
        };
        let out = (first & 0x0f, payload.to_vec());
        self.from += head + length;
        Ok(Some(out))
    }
}

/// Whether a response says success.
pub(crate) fn check(response: &[u8]) -> Result<()> {
    let needle = b"\"success\":true";
    let found = response.windows(needle.len()).any(|window| window == needle);
    found
        .then_some(())
        .with_context(|| format!("refused: {}", String::from_utf8_lossy(response)))
}
