use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::message::{take_message, texts};
use crate::plan::{Cut, Plan, Statement};

/// What of the store's SQL the statement is recognised by that records a batch.
const RECORD_MARK: &str = "recorded_partitioned AS";
/// What PostgreSQL says of a session that is in no transaction.
const IDLE: u8 = b'I';

/// One client and its session.
pub(crate) struct Connection {
    client: TcpStream,
    server: TcpStream,
    plan: Arc<Plan>,
    /// The names of prepared statements that record a batch.
    known: HashSet<String>,
    /// What PostgreSQL said last of the session.
    status: u8,
    cut: Option<Cut>,
}

impl Connection {
    pub(crate) fn new(client: TcpStream, server: TcpStream, plan: Arc<Plan>) -> io::Result<Self> {
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        Ok(Self { client, server, plan, known: HashSet::new(), status: IDLE, cut: None })
    }

    /// Carries messages until one side ends the connection, or it is to be cut: then both sides end.
    pub(crate) async fn carry(mut self) -> io::Result<()> {
        let (mut from_client, mut from_server) = (Vec::new(), Vec::new());
        // The first message of a client has no type.
        let mut type_bytes = 0;
        loop {
            let read = tokio::select! {
                read = self.client.read_buf(&mut from_client) => read?,
                read = self.server.read_buf(&mut from_server) => read?,
            };
            if read == 0 {
                return Ok(());
            }
            self.plan.pass().await;
            while let Some(message) = take_message(&mut from_client, type_bytes) {
                if type_bytes == 1 && self.cut.is_none() {
                    self.cut = self.find_cut(&message);
                }
                if self.send(&message).await? {
                    return Ok(());
                }
                type_bytes = 1;
            }
            while let Some(message) = take_message(&mut from_server, 1) {
                if self.answer(&message).await? {
                    return Ok(());
                }
            }
        }
    }

    /// Passes on what the client says; whether the connection ends here.
    async fn send(&mut self, message: &[u8]) -> io::Result<bool> {
        match self.cut {
            Some(Cut::Before) => return Ok(true),
            Some(Cut::Amid) => {
                self.server.write_all(&message[..message.len() / 2]).await?;
                return Ok(true);
            }
            Some(Cut::During | Cut::AmidAnswer | Cut::After) | None => {}
        }
        self.server.write_all(message).await?;
        // `Q` is a whole statement; what was prepared ends with `S`.
        Ok(self.cut == Some(Cut::During) && matches!(message[0], b'Q' | b'S'))
    }

    /// Passes on what PostgreSQL says; whether the connection ends here.
    async fn answer(&mut self, message: &[u8]) -> io::Result<bool> {
        let ready = message[0] == b'Z';
        if let Some(status) = message.get(5).filter(|_| ready) {
            self.status = *status;
        }
        match self.cut {
            None => self.client.write_all(message).await.map(|()| false),
            // A row, or what says that the statement is done.
            Some(Cut::AmidAnswer) if matches!(message[0], b'D' | b'C') => {
                self.client.write_all(&message[..message.len() / 2]).await.map(|()| true)
            }
            Some(Cut::AmidAnswer) if !ready => self.client.write_all(message).await.map(|()| false),
            Some(_) => Ok(ready),
        }
    }

    /// Whether the connection is to be cut at this message.
    fn find_cut(&mut self, message: &[u8]) -> Option<Cut> {
        let (first, second) = texts(message)?;
        let statement = match message[0] {
            b'P' if second.contains(RECORD_MARK) => {
                self.known.insert(first);
                return None;
            }
            // A batch that is recorded inside of a transaction is not committed by that.
            b'B' if self.known.contains(&second) && self.status == IDLE => Statement::Record,
            b'Q' if first == "COMMIT" => Statement::Commit,
            _ => return None,
        };
        self.plan.take(statement)
    }
}
