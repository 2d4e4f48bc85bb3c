//! 386BSD's own form of open files, vnodes, mounts and terminals.
//!
//! Counterpart: sys/file.h, vnode.h, ufs_inode.h, sys/mount.h and tty.h of 386BSD 2.0.

use super::{I16, I32, Show, Statfs, Termios, U16, U32, U64, Winsize, layout};

layout! {
    /// An open file.
    OlderFile "file" 32 {
        0 next "f_filef": U32 => Show::Addr,
        4 previous "f_fileb": U32 => Show::Addr,
        8 flag "f_flag": I16 => Show::Hex,
        10 kind "f_type": I16,
        12 count "f_count": I16,
        14 msgcount "f_msgcount": I16,
        16 cred "f_cred": U32 => Show::Addr,
        20 ops "f_ops": U32 => Show::Addr,
        24 offset "f_offset": I32,
        28 data "f_data": U32 => Show::Addr,
    }

    /// A vnode, with what its file system keeps.
    OlderVnode "vnode" 272 {
        0 flag "v_flag": U32 => Show::Hex,
        4 usecount "v_usecount": I16,
        6 writecount "v_writecount": I16,
        8 holdcnt "v_holdcnt": I32,
        12 lastr "v_lastr": I32,
        16 id "v_id": U32,
        20 mount "v_mount": U32 => Show::Addr,
        24 op "v_op": U32 => Show::Addr,
        28 freef "v_freef": U32 => Show::Addr,
        32 freeb "v_freeb": U32 => Show::Addr,
        36 mountf "v_mountf": U32 => Show::Addr,
        40 mountb "v_mountb": U32 => Show::Addr,
        44 cleanblkhd "v_cleanblkhd": U32 => Show::Addr,
        48 dirtyblkhd "v_dirtyblkhd": U32 => Show::Addr,
        52 numoutput "v_numoutput": I32,
        56 kind "v_type": I32,
        60 un "v_un": U32 => Show::Addr,
        64 tag "v_tag": I32,
        68 name "v_name": [u8; 16] => Show::Chars,
        84 data "v_data": [u8; 188] => Show::Bytes,
    }

    /// A file of a disk.
    OlderInode "inode" 188 {
        0 chain "i_chain": [U32; 2] => Show::Pad,
        8 vnode "i_vnode": U32 => Show::Addr,
        12 devvp "i_devvp": U32 => Show::Addr,
        16 flag "i_flag": U32 => Show::Hex,
        20 dev "i_dev": U16 => Show::Dev,
        22 pad0 "": [u8; 2] => Show::Pad,
        24 number "i_number": U32,
        28 fs "i_fs": U32 => Show::Addr,
        32 dquot "i_dquot": [U32; 2] => Show::Pad,
        40 lockf "i_lockf": U32 => Show::Addr,
        44 diroff "i_diroff": I32,
        48 endoff "i_endoff": I32,
        52 spare0 "i_spare0": I32,
        56 spare1 "i_spare1": I32,
        60 din "i_din": OlderDinode,
    }

    /// What a disk keeps of a file.
    OlderDinode "dinode" 128 {
        0 mode "di_mode": U16 => Show::Mode,
        2 nlink "di_nlink": I16,
        4 uid "di_uid": U16,
        6 gid "di_gid": U16,
        8 size "di_qsize": U64,
        16 atime "di_atime": I32 => Show::Time,
        20 atspare "di_atspare": I32 => Show::Pad,
        24 mtime "di_mtime": I32 => Show::Time,
        28 mtspare "di_mtspare": I32 => Show::Pad,
        32 ctime "di_ctime": I32 => Show::Time,
        36 ctspare "di_ctspare": I32 => Show::Pad,
        40 db "di_db": [U32; 15] => Show::Pad,
        100 flags "di_flags": I32 => Show::Hex,
        104 blocks "di_blocks": I32,
        108 gener "di_gen": I32,
        112 spare "di_spare": [u8; 16] => Show::Pad,
    }

    /// A mounted file system; its statistics have the same form.
    OlderMount "mount" 288 {
        0 next "mnt_next": U32 => Show::Addr,
        4 prev "mnt_prev": U32 => Show::Addr,
        8 op "mnt_op": U32 => Show::Addr,
        12 vnodecovered "mnt_vnodecovered": U32 => Show::Addr,
        16 mounth "mnt_mounth": U32 => Show::Addr,
        20 flag "mnt_flag": I32 => Show::Hex,
        24 exroot "mnt_exroot": U16,
        26 pad0 "": [u8; 2] => Show::Pad,
        28 stat "mnt_stat": Statfs,
        284 data "mnt_data": U32 => Show::Addr,
    }

    /// A terminal.
    OlderTty "tty" 3236 {
        0 oproc "t_oproc": U32 => Show::Addr,
        4 param "t_param": U32 => Show::Addr,
        8 stop "t_stop": U32 => Show::Addr,
        12 ldiscif "t_ldiscif": U32 => Show::Addr,
        16 rsel "t_rsel": I16,
        18 wsel "t_wsel": I16,
        20 linep "T_LINEP": U32 => Show::Addr,
        24 addr "t_addr": U32 => Show::Addr,
        28 dev "t_dev": U16 => Show::Dev,
        30 pad0 "": [u8; 2] => Show::Pad,
        32 flags "t_flags": I32 => Show::Hex,
        36 state "t_state": I32 => Show::Hex,
        40 session "t_session": U32 => Show::Addr,
        44 pgrp "t_pgrp": U32 => Show::Addr,
        48 line "t_line": u8,
        49 pad1 "": u8,
        50 col "t_col": I16,
        52 rocount "t_rocount": I16,
        54 rocol "t_rocol": I16,
        56 hiwat "t_hiwat": I16,
        58 lowat "t_lowat": I16,
        60 winsize "t_winsize": Winsize,
        68 termios "t_termios": Termios,
        112 cancc "t_cancc": I32,
        116 rawcc "t_rawcc": I32,
        120 outcc "t_outcc": I32,
        124 generation "t_gen": I16,
        126 mask "t_mask": I16,
        128 raw "t_raw": [u8; 1036] => Show::Pad,
        1164 can "t_can": [u8; 1036] => Show::Pad,
        2200 out "t_out": [u8; 1036] => Show::Pad,
    }

    /// Counts of memory.
    OlderVmStatistics "vm_statistics" 52 {
        0 pagesize "pagesize": I32,
        4 free_count "free_count": I32,
        8 active_count "active_count": I32,
        12 inactive_count "inactive_count": I32,
        16 wire_count "wire_count": I32,
        20 zero_fill_count "zero_fill_count": I32,
        24 reactivations "reactivations": I32,
        28 pageins "pageins": I32,
        32 pageouts "pageouts": I32,
        36 faults "faults": I32,
        40 cow_faults "cow_faults": I32,
        44 lookups "lookups": I32,
        48 hits "hits": I32,
    }
}
