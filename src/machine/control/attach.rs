//! The verb `attach`: a further terminal, and a login on it.

use super::{Request, Verb};
use crate::host::attached::Attached;
use crate::host::control::Connection;
use crate::host::door::Size;
use crate::machine::Machine;
use crate::machine::login::Login;

/// What a terminal has whose size is not told.
const ROWS: u16 = 24;
const COLUMNS: u16 = 80;

pub(super) fn verb() -> Verb {
    Verb::new(
        "attach",
        "a login on a new terminal: rows= columns= width= height= user= command= term=",
        |machine, request, connection| match prepare(machine, request) {
            Ok((login, size)) => attach(machine, &login, size, connection),
            Err(reason) => connection.answer(Err(reason)),
        },
    )
}

fn prepare(machine: &mut Machine, request: &Request) -> Result<(Login, Size), String> {
    request.only(&["rows", "columns", "width", "height", "user", "command", "term"])?;
    if machine.kernel().clock.is_virtual() {
        return Err("the machine's clock is a virtual one, for which nobody can type".to_owned());
    }
    let size = Size {
        rows: request.number("rows", ROWS)?,
        columns: request.number("columns", COLUMNS)?,
        width: request.number("width", 0)?,
        height: request.number("height", 0)?,
    };
    let login = Login {
        user: request.get("user").map(|user| user.as_bytes().to_vec()),
        command: request.get("command").map(|command| command.as_bytes().to_vec()),
        term: request.get("term").map(|term| term.as_bytes().to_vec()),
        ..machine.login_defaults()
    };
    Ok((login, size))
}

fn attach(machine: &mut Machine, login: &Login, size: Size, connection: Connection) {
    let program = match login.program(machine.kernel_mut()) {
        Ok((program, _)) => program,
        Err(error) => return connection.answer(Err(error.to_string())),
    };
    let Ok(stream) = connection.duplicate() else { return };
    let door = Box::new(Attached::new(stream, size));
    match machine.start_session(&program, door) {
        // Nothing has been shown yet; who has gone meanwhile hangs up.
        Ok(()) => drop(connection.accept()),
        Err(failure) => connection.answer(Err(format!("the shell does not start: {failure}"))),
    }
}
