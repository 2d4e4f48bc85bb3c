//! Which terminal a guest takes the host's for.
//!
//! The host's own name where the root's termcap knows it, else the nearest that it knows; where there is no
//! termcap at all, an entry of ours in the variable TERMCAP.
//!
//! 2.1 counterpart: termcap(5), tset(1).

/// Names to try for a name of the host, the nearest first: what it begins with, and what is like it.
const NEAREST: [(&str, &[&str]); 12] = [
    ("xterm", &["xterm", "xterms", "vt220", "vt100"]),
    ("screen", &["screen", "vt100"]),
    ("tmux", &["screen", "vt100"]),
    ("rxvt", &["rxvt", "xterm", "vt100"]),
    ("alacritty", &["xterm", "vt100"]),
    ("foot", &["xterm", "vt100"]),
    ("konsole", &["xterm", "vt100"]),
    ("gnome", &["xterm", "vt100"]),
    ("vte", &["xterm", "vt100"]),
    ("linux", &["linux", "vt220", "vt100"]),
    ("vt", &["vt220", "vt100"]),
    ("ansi", &["ansi", "vt100"]),
];
/// What a guest has whose host has nothing that is like anything.
pub(super) const PLAIN: &str = "vt100";
const DUMB: &str = "dumb";

/// Our own entries, each shorter than the 1023 bytes that a termcap library reads.
const VT100: &str = ":am:bs:km:mi:ms:pt:xn:co#80:it#8:li#24:\
    :AL=\\E[%dL:DC=\\E[%dP:DL=\\E[%dM:DO=\\E[%dB:IC=\\E[%d@:LE=\\E[%dD:RI=\\E[%dC:UP=\\E[%dA:\
    :ae=^O:al=\\E[L:as=^N:bl=^G:cd=\\E[J:ce=\\E[K:cl=\\E[H\\E[2J:cm=\\E[%i%d;%dH:cr=^M:cs=\\E[%i%d;%dr:\
    :dc=\\E[P:dl=\\E[M:do=^J:ho=\\E[H:is=\\E[m\\E[?7h\\E[4l\\E>:kb=^H:kd=\\EOB:ke=\\E[?1l\\E>:kl=\\EOD:kr=\\EOC:\
    :ks=\\E[?1h\\E=:ku=\\EOA:k1=\\EOP:k2=\\EOQ:k3=\\EOR:k4=\\EOS:le=^H:mb=\\E[5m:md=\\E[1m:me=\\E[m:mr=\\E[7m:\
    :nd=\\E[C:nw=\\r\\n:rc=\\E8:sc=\\E7:se=\\E[27m:sf=^J:so=\\E[7m:sr=\\EM:ta=^I:ue=\\E[24m:up=\\E[A:us=\\E[4m:";
/// The same with insertion, which a vt100 has not.
const INSERTS: &str = ":ei=\\E[4l:im=\\E[4h:";
const OWN: [(&str, &str, &str); 5] = [
    ("vt100", "vt100|like a vt100", ""),
    ("xterm", "xterm|vt100 with insertion", INSERTS),
    ("screen", "screen|vt100 with insertion", INSERTS),
    ("linux", "linux|vt100 with insertion", INSERTS),
    ("ansi", "ansi|like a vt100", ""),
];

/// What a guest is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::machine) struct Term {
    /// TERM.
    pub(in crate::machine) name: String,
    /// TERMCAP, where the root has no termcap.
    pub(in crate::machine) entry: Option<String>,
}

/// Whether a termcap has an entry of a name.
fn knows(termcap: &[u8], name: &str) -> bool {
    let is_entry = |line: &&[u8]| !line.is_empty() && !b"# \t:".contains(&line[0]);
    let names = |line: &[u8]| {
        let end = line.iter().position(|&c| c == b':').unwrap_or(line.len());
        line.get(..end).unwrap_or_default().split(|&c| c == b'|').any(|known| known == name.as_bytes())
    };
    termcap.split(|&c| c == b'\n').filter(is_entry).any(names)
}

/// The names to try for a name of the host.
fn candidates(host: &str) -> impl Iterator<Item = &str> {
    let near = NEAREST.iter().find(|(begins, _)| host.starts_with(begins)).map_or(&[][..], |(_, near)| near);
    [host].into_iter().chain(near.iter().copied()).filter(|name| !name.is_empty())
}

/// What a guest is told of a host's terminal; `termcap` is the root's.
pub(in crate::machine) fn choose(host: &str, termcap: Option<&[u8]>) -> Term {
    let Some(termcap) = termcap else {
        let own = candidates(host).find_map(|name| OWN.iter().find(|(known, ..)| *known == name));
        let (name, names, more) = own.copied().unwrap_or(OWN[0]);
        if host == DUMB {
            return Term {
                name: DUMB.to_owned(),
                entry: Some("dumb:am:bl=^G:co#80:do=^J:nw=^M^J:".to_owned()),
            };
        }
        return Term { name: name.to_owned(), entry: Some(format!("{names}{VT100}{more}")) };
    };
    let known = candidates(host).chain([PLAIN, DUMB]).find(|name| knows(termcap, name));
    Term { name: known.unwrap_or(PLAIN).to_owned(), entry: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMCAP: &[u8] =
        b"# names\nvt100|dec vt100:\\\n\t:am:\nd0|vt100-am:tc=vt100:\nxterm|vs100|X:co#80:\n";

    #[test]
    fn the_hosts_name_where_it_is_known_else_the_nearest() {
        let name = |host| choose(host, Some(TERMCAP)).name;
        assert_eq!(["xterm", "xterm-256color", "vs100"].map(name), ["xterm", "xterm", "vs100"]);
        assert_eq!(["tmux-256color", "linux", "", "st-256color"].map(name), ["vt100"; 4]);
        assert_eq!(choose("xterm", Some(TERMCAP)).entry, None);
        assert_eq!(choose("xterm", Some(b"dumb:am:\n")).name, "dumb");
    }

    #[test]
    fn entries_of_our_own_fit_into_what_libraries_read() {
        for (name, ..) in OWN {
            let term = choose(name, None);
            let entry = term.entry.unwrap();
            assert_eq!(term.name, name);
            assert!(entry.starts_with(name) && entry.len() < 1024, "{} bytes", entry.len());
            assert!(!entry.contains(' ') || entry.find(' ') < entry.find(':'), "{entry}");
        }
        assert_eq!(choose("tmux", None).name, "screen");
        assert_eq!(choose("unheard-of", None).name, "vt100");
    }
}
