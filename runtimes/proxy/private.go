package main

import "syscall"

const prSetDumpable = 4

// private closes the proxy's memory to other processes of its user (ptrace,
// /proc/1/mem): every request goes through it, and a launcher may run as root too.
func private() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetDumpable, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
