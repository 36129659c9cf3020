// Package reaper starts children and collects every process that ends.
//
// The proxy is the first process of its container: orphans of an action become
// its children and would stay zombies, so it must wait for all processes, which
// os/exec cannot do beside its own waiting.
package reaper

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
)

// Child is a process started by Start.
type Child struct {
	// Pid is also the id of the child's process group.
	Pid    int
	done   chan struct{}
	status syscall.WaitStatus
}

// Done is closed when the child has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Exited tells whether the child has ended.
func (c *Child) Exited() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// Status describes how the child ended; call it only once Done is closed.
func (c *Child) Status() string {
	if c.status.Signaled() {
		return fmt.Sprintf("killed by signal %d (%s)", int(c.status.Signal()), c.status.Signal())
	}
	return fmt.Sprintf("exit status %d", c.status.ExitStatus())
}

// Success tells whether the child ended with status 0.
func (c *Child) Success() bool { return c.status.Exited() && c.status.ExitStatus() == 0 }

// Kill ends the child's process group.
func (c *Child) Kill() {
	_ = syscall.Kill(-c.Pid, syscall.SIGKILL)
}

// Reaper waits for all children of this process.
type Reaper struct {
	mu       sync.Mutex
	children map[int]*Child
}

// New starts the waiting; a process has one Reaper.
func New() *Reaper {
	r := &Reaper{children: map[int]*Child{}}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	go func() {
		for range ended {
			r.collect()
		}
	}()
	return r
}

// Start starts a command in a process group of its own. The command's files must
// be *os.File (nothing calls cmd.Wait).
func (r *Reaper) Start(cmd *exec.Cmd) (*Child, error) {
	r.mu.Lock() // the child may end before it is entered
	defer r.mu.Unlock()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	child := &Child{Pid: cmd.Process.Pid, done: make(chan struct{})}
	r.children[child.Pid] = child
	_ = cmd.Process.Release()
	return child, nil
}

func (r *Reaper) collect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if child := r.children[pid]; child != nil {
			delete(r.children, pid)
			child.status = status
			close(child.done)
		}
	}
}
