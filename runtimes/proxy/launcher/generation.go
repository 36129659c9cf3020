package launcher

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Generation tells how often a process went back to its checkpoint.
type Generation func(pid int) (uint64, error)

// KernelGeneration asks the kernel, which shows it to the parent of a process. What
// the process says of itself would prove nothing: a request's code can say "ready" too.
func KernelGeneration(pid int) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/rewind", pid))
	if err != nil {
		return 0, err
	}
	for _, line := range strings.Split(string(text), "\n") {
		if value, found := strings.CutPrefix(line, "generation "); found {
			return strconv.ParseUint(value, 10, 64)
		}
	}
	return 0, errors.New("it has no checkpoint")
}

// advanced notes the generation and tells why it is no proof of a restore, if it is none.
func (l *Launcher) advanced() error {
	if l.generation == nil {
		return nil
	}
	now, err := l.generation(l.child.Pid)
	if err != nil {
		return fmt.Errorf("the kernel does not confirm the restore: %w", err)
	}
	if now <= l.last {
		return fmt.Errorf("the launcher says that it is ready, but was not restored (generation %d)", now)
	}
	l.last = now
	return nil
}
