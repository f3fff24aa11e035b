//! `desk`: a page in the browser on which a person decides the held requests of all repos.
//!
//! The desk listens on 127.0.0.1 only. [`guard`] says who may use it, [`state`] is what it shows, [`page`] is the HTML, [`routes`] turns
//! requests into responses, and [`choices`] carries out decisions after the time to undo them.

mod assets;
mod choices;
mod decided;
mod filter;
mod guard;
mod idle;
mod page;
mod routes;
mod state;

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hub_doorman::model::{Repo, RepoPattern};
use tokio::net::TcpListener;
use tokio::signal;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::arguments::DeskArguments;
use crate::environment::{Setup, setup};
use crate::exit::{ExitStatus, UsageError};
use crate::review::{patterns, warn_of_policy};
use crate::screen::{Screen, print_message};
use guard::Guard;
use idle::LastUse;
use state::State;

/// The desk stops after this time without use, so that nobody else finds it open.
const MAX_IDLE: Duration = Duration::from_secs(60 * 60);

/// How long open connections may take to end when the desk stops.
const MAX_CLOSE: Duration = Duration::from_secs(1);

/// While the desk waits for decisions that are being sent, it looks this often whether it need not wait any more.
const TIME_TO_LOOK: Duration = Duration::from_millis(200);

/// Everything that the requests of the browser share.
struct Desk {
    setup: Setup,
    patterns: Vec<RepoPattern>,
    guard: Guard,
    /// The address of the Hub, without a slash at the end.
    hub_url: String,
    state: Mutex<State>,
    /// One lock for each repo: its decisions are written one batch after the other.
    writing: Mutex<HashMap<Repo, Arc<tokio::sync::Mutex<()>>>>,
    /// There is a new choice, or one was undone.
    chosen: Notify,
    /// The state has changed.
    changed: Notify,
    last_use: LastUse,
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_of(&self, repo: &Repo) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(repo.clone()).or_default())
    }
}

/// Serves the desk until Ctrl-C, or until it was not used for an hour.
pub async fn run(arguments: &DeskArguments, screen: &mut Screen) -> Result<ExitStatus, Box<dyn Error>> {
    let DeskArguments { scope, port, no_browser } = arguments;
    let setup = setup(scope.policy.as_deref()).await?;
    let patterns = patterns(scope, &setup)?;
    warn_of_policy(&setup.policy, |warning| warning.is_unusable_list);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).await;
    let listener = listener
        .map_err(|error| UsageError(format!("the desk cannot listen on 127.0.0.1, port {port}: {error}")))?;
    let (guard, address) = Guard::new(listener.local_addr()?.port())?;
    let desk = Arc::new(Desk {
        hub_url: setup.hub.endpoint().as_str().trim_end_matches('/').to_owned(),
        setup,
        patterns,
        guard,
        state: Mutex::default(),
        writing: Mutex::default(),
        chosen: Notify::new(),
        changed: Notify::new(),
        last_use: LastUse::new(),
    });
    announce(&address, *no_browser, screen)?;
    let reading = tokio::spawn(Arc::clone(&desk).read());
    let carrying_out = tokio::spawn(Arc::clone(&desk).carry_out_due());
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let router = routes::router(&desk);
    let server =
        axum::serve(listener, router).with_graceful_shutdown(async move { stopped.notified().await });
    let server = tokio::spawn(server.into_future());
    tokio::select! {
        _ = signal::ctrl_c() => {}
        () = desk.last_use.until_idle_for(MAX_IDLE) => {
            print_message("The desk was not used for an hour, so it stops.");
        }
    }
    desk.drop_undoable();
    reading.abort();
    finish(&desk).await;
    carrying_out.abort();
    stop.notify_one();
    let _ = tokio::time::timeout(MAX_CLOSE, server).await;
    Ok(ExitStatus::Complete)
}

/// Prints the address, and opens it in the browser of the person at the terminal.
fn announce(address: &str, no_browser: bool, screen: &mut Screen) -> io::Result<()> {
    writeln!(screen, "{address}")?;
    screen.flush()?;
    print_message("The address works once, in one browser. Ctrl-C stops the desk.");
    let has_display = cfg!(not(target_os = "linux"))
        || ["DISPLAY", "WAYLAND_DISPLAY"].into_iter().any(|name| std::env::var_os(name).is_some());
    if screen.is_terminal() && !no_browser && has_display && open::that_detached(address).is_err() {
        print_message("No browser could be started. Open the address yourself.");
    }
    Ok(())
}

/// Waits for the decisions that are being sent, so that none is left in doubt.
async fn finish(desk: &Desk) {
    if desk.state().choices.is_empty() {
        return;
    }
    print_message("Decisions are being sent. The desk waits for them; Ctrl-C again stops it at once.");
    loop {
        tokio::select! {
            () = desk.finish_writing() => return,
            _ = signal::ctrl_c() => {
                return print_message("Stopped. A decision may not have been sent: `doorman list REPO` shows who is still pending.");
            }
            // A decision that the Hub does not take now can be undone again.
            () = sleep(TIME_TO_LOOK) => desk.drop_undoable(),
        }
    }
}
