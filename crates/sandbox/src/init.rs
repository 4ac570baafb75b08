//! The program that is pid 1 of a session: it lets the kernel reap whatever ends, and waits for ever.
//!
//! A file of some hundred bytes, because there is one for each session: it holds one page of memory. It has no
//! handlers, so no signal of its session reaches it, and it ends when it is killed from outside.

/// Where it is loaded.
const BASE: u64 = 0x40_0000;
/// Length of the two headers, behind which the code begins.
const HEADERS_BYTES: u64 = 64 + 56;
/// `struct sigaction` of the kernel: ignore, no flags, no restorer, empty mask.
const IGNORE: [u64; 4] = [1, 0, 0, 0];

/// The whole file, in ELF.
pub(crate) fn program() -> Vec<u8> {
    let code = code(BASE + HEADERS_BYTES);
    let size = HEADERS_BYTES + code.len() as u64;
    let mut file = Vec::new();
    // The file: 64 bits, little endian, version 1, executable.
    file.extend([0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    file.extend([2_u16.to_le_bytes(), MACHINE.to_le_bytes()].concat());
    file.extend(1_u32.to_le_bytes());
    let entry = BASE + HEADERS_BYTES + size_of_val(&IGNORE) as u64;
    file.extend([entry, 64, 0].map(u64::to_le_bytes).concat());
    file.extend(0_u32.to_le_bytes());
    file.extend([64_u16, 56, 1, 64, 0, 0].map(u16::to_le_bytes).concat());
    // Its one part: all of the file, to be read and executed.
    file.extend([1_u32, 5].map(u32::to_le_bytes).concat());
    file.extend([0, BASE, BASE, size, size, 0x1000].map(u64::to_le_bytes).concat());
    file.extend(code);
    file
}

/// `EM_X86_64`
#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;

/// `rt_sigaction(SIGCHLD, &IGNORE, NULL, 8); for (;;) pause();` behind the structure it names.
#[cfg(target_arch = "x86_64")]
fn code(at: u64) -> Vec<u8> {
    let mut code = IGNORE.map(u64::to_le_bytes).concat();
    code.extend([0xbf, 17, 0, 0, 0, 0xbe]);
    code.extend((at as u32).to_le_bytes());
    code.extend([0x31, 0xd2, 0x41, 0xba, 8, 0, 0, 0, 0xb8, 13, 0, 0, 0, 0x0f, 0x05]);
    code.extend([0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7]);
    code
}

/// `EM_AARCH64`
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

/// The same; `ppoll` without descriptors or time is this architecture's `pause`.
#[cfg(target_arch = "aarch64")]
fn code(at: u64) -> Vec<u8> {
    let low = ((at & 0xffff) as u32) << 5;
    let mut code = IGNORE.map(u64::to_le_bytes).concat();
    let words = [
        0xd280_0220,
        0xd280_0001 | low,
        0xf2a0_0801,
        0xd280_0002,
        0xd280_0103,
        0xd280_10c8,
        0xd400_0001,
        0xd280_0000,
        0xd280_0001,
        0xd280_0002,
        0xd280_0003,
        0xd280_0928,
        0xd400_0001,
        0x17ff_fffa,
    ];
    code.extend(words.map(u32::to_le_bytes).concat());
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_small_and_begins_as_a_program_does() {
        let file = program();
        assert_eq!(&file[..4], b"\x7fELF");
        assert!(file.len() < 512);
        let size = u64::from_le_bytes(file[64 + 32..64 + 40].try_into().unwrap());
        assert_eq!(size, file.len() as u64);
    }
}
