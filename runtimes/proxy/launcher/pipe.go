package launcher

import (
	"bufio"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// lines reads lines from a pipe, on demand only: nothing is taken out of the pipe
// between requests, so what a launcher wrote out of turn is seen for certain.
type lines struct {
	file   *os.File
	reader *bufio.Reader
}

func newLines(file *os.File) *lines {
	return &lines{file: file, reader: bufio.NewReaderSize(file, 64<<10)}
}

// next returns one line with its newline.
func (l *lines) next() ([]byte, error) { return l.reader.ReadBytes('\n') }

// limit ends a pending next after d, unless its line is there by then.
func (l *lines) limit(d time.Duration) { _ = l.file.SetReadDeadline(time.Now().Add(d)) }

// disturbed tells whether there is anything to read, or nobody left who can write.
func (l *lines) disturbed() bool {
	if l.reader.Buffered() > 0 {
		return true
	}
	connection, err := l.file.SyscallConn()
	if err != nil {
		return true
	}
	found := true
	err = connection.Control(func(fd uintptr) { found = pollIn(fd) })
	return err != nil || found
}

type pollFd struct {
	fd      int32
	events  int16
	revents int16
}

func pollIn(fd uintptr) bool {
	const in = 1 // POLLIN; errors and hang-up are always told
	query := pollFd{fd: int32(fd), events: in}
	for {
		count, _, errno := syscall.Syscall(syscall.SYS_POLL, uintptr(unsafe.Pointer(&query)), 1, 0)
		if errno != syscall.EINTR {
			return errno != 0 || count > 0
		}
	}
}
