package launcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"rewind-bench/proxy/reaper"
)

// Config says how a launcher is started.
type Config struct {
	Executable string
	// Env is the launcher's whole environment.
	Env            []string
	Stdout, Stderr *os.File
	// Ack makes Start wait for the line {"ok": true} on descriptor 3.
	Ack bool
	// Ready gives the launcher descriptor 4 and holds each request until the
	// launcher has said that it is ready for it.
	Ready bool
	// Generation, where there is one, must have grown at each "ready".
	Generation Generation
	// Served is called after each request, before the next one is admitted.
	Served func()
}

// pipes are the launcher's descriptors 0, 3 and 4, ours and its own ends.
type pipes struct {
	stdin, replies, ready *os.File
	theirs                []*os.File
}

func (p *pipes) closeOurs() {
	for _, file := range []*os.File{p.stdin, p.replies, p.ready} {
		if file != nil {
			_ = file.Close()
		}
	}
}

func (p *pipes) closeTheirs() {
	for _, file := range p.theirs {
		_ = file.Close()
	}
}

func open(withReady bool) (*pipes, error) {
	p := &pipes{}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.stdin, p.theirs = write, append(p.theirs, read)
	for _, ours := range []**os.File{&p.replies, &p.ready} {
		if ours == &p.ready && !withReady {
			continue
		}
		if read, write, err = os.Pipe(); err != nil {
			p.closeOurs()
			p.closeTheirs()
			return nil, err
		}
		*ours, p.theirs = read, append(p.theirs, write)
	}
	return p, nil
}

// Start starts a launcher; with Ack it returns once the launcher has acknowledged.
// A launcher that cannot be started, or does not acknowledge, is ended, and the
// error says why.
func Start(config Config, r *reaper.Reaper) (*Launcher, error) {
	p, err := open(config.Ready)
	if err != nil {
		return nil, err
	}
	defer p.closeTheirs()
	command := exec.Command(config.Executable)
	command.Env = config.Env
	if command.Env == nil {
		command.Env = []string{} // nil would mean ours
	}
	command.Stdin, command.Stdout, command.Stderr = p.theirs[0], config.Stdout, config.Stderr
	command.ExtraFiles = p.theirs[1:]
	child, err := r.Start(command)
	if err != nil {
		p.closeOurs()
		return nil, err
	}
	l := newLauncher(child, p, config)
	p.closeTheirs() // so that the end of the launcher is the end of its pipes
	if config.Ack {
		if err := l.acknowledged(); err != nil {
			l.fail(err.Error())
			return nil, err
		}
	}
	go l.watch()
	return l, nil
}

// acknowledged waits for the launcher's first line.
func (l *Launcher) acknowledged() error {
	line, ok := l.line(l.replies)
	if !ok {
		return errors.New("Command exited abruptly during initialization." + l.ending())
	}
	var ack struct {
		Ok    bool   `json:"ok"`
		Error string `json:"error"`
	}
	if err := json.Unmarshal(line, &ack); err != nil {
		return fmt.Errorf("The action's acknowledgement is not valid: %w", err)
	}
	if !ack.Ok {
		reason := "The action did not initialize properly."
		if ack.Error != "" {
			reason += " " + ack.Error
		}
		return errors.New(reason)
	}
	return nil
}

// ending is " (how the process ended)", or "" while it lives.
func (l *Launcher) ending() string {
	if !l.child.Exited() {
		return ""
	}
	return " (" + l.child.Status() + ")"
}
