use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::timeout;

/// Runs a program to its end, and gives what it said.
///
/// # Errors
/// When it cannot be run; [`io::ErrorKind::TimedOut`] when it has not ended, or somebody still holds its output open, after
/// `limit`: it is killed then, and the error tells what it had said.
pub async fn output(mut command: Command, limit: Duration) -> io::Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let ended = async {
        let read_out = async { read(out, &mut stdout).await };
        let read_err = async { read(err, &mut stderr).await };
        tokio::try_join!(child.wait(), read_out, read_err).map(|(status, (), ())| status)
    };
    match timeout(limit, ended).await {
        Ok(status) => Ok(Output { status: status?, stdout, stderr }),
        Err(_) => {
            let program = command.as_std().get_program().display().to_string();
            let said = [stdout, stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
            let message = format!(
                "{program} does not end within {} s; it said {:?}, and on standard error {:?}",
                limit.as_secs(),
                said[0],
                said[1]
            );
            Err(io::Error::new(io::ErrorKind::TimedOut, message))
        }
    }
}

async fn read(pipe: Option<impl tokio::io::AsyncRead + Unpin>, into: &mut Vec<u8>) -> io::Result<()> {
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(into).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_program_that_ends_is_told_with_what_it_said() {
        let ended = output(shell("echo out; echo err >&2; exit 3"), Duration::from_secs(60)).await.unwrap();
        assert_eq!(
            (ended.status.code(), &*ended.stdout, &*ended.stderr),
            (Some(3), &b"out\n"[..], &b"err\n"[..])
        );
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_killed_and_told_with_what_it_had_said() {
        let error = output(shell("echo begun; exec sleep 1000"), Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(
            error.to_string().contains("/bin/sh does not end within 5 s; it said \"begun\\n\""),
            "{error}"
        );
    }
}
