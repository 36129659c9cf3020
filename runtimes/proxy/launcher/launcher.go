// Package launcher runs the process that serves an action and speaks the
// ActionLoop protocol with it: a line of JSON to its standard input, a line of
// JSON back on its descriptor 3, and, where agreed, a line "ready" on descriptor
// 4 once it can take the next request.
package launcher

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"rewind-bench/proxy/reaper"
)

var (
	// ErrDied: the launcher ended, or broke the protocol, during this request.
	ErrDied = errors.New("command exited")
	// ErrGone: the launcher had ended before; the request never reached it.
	ErrGone = errors.New("command exited before the request")
)

// lastWords is how long a reply may still be in the pipe of a launcher that ended.
const lastWords = 200 * time.Millisecond

// readyWord is what a launcher writes to descriptor 4: a line, perhaps with a JSON object of figures.
const readyWord = "ready"

type state int

const (
	idle state = iota
	running
	restoring // replied, not yet ready
	dead
)

// Launcher is a running launcher.
type Launcher struct {
	child   *reaper.Child
	stdin   *os.File
	replies *lines
	ready   *lines // nil without the ready protocol
	served  func()
	// generation proves a restore; nil where the scheme has no such proof. last is what it
	// was after the last one; only restored uses it, one request at a time.
	generation Generation
	last       uint64

	turn chan struct{} // holds a token while a request is served; first come, first served

	mu      sync.Mutex
	state   state
	changed chan struct{} // closed and replaced at each change of state
	reason  string        // of death
	busyNs  *int64
	figures json.RawMessage // of the last restore
}

func newLauncher(child *reaper.Child, p *pipes, config Config) *Launcher {
	l := &Launcher{
		child:      child,
		stdin:      p.stdin,
		replies:    newLines(p.replies),
		served:     config.Served,
		generation: config.Generation,
		turn:       make(chan struct{}, 1),
		changed:    make(chan struct{}),
	}
	if config.Ready {
		l.ready = newLines(p.ready)
	}
	return l
}

// Interact sends one request (a line without its newline) and returns the reply
// line as it is. Requests are served one at a time, in order of their calls; each
// waits until the launcher is ready. Errors: ErrDied, ErrGone, or that of ctx while
// the request still waited.
func (l *Launcher) Interact(ctx context.Context, request []byte) ([]byte, error) {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-l.turn }()
	if err := l.AwaitReady(ctx); err != nil {
		return nil, err
	}
	if !l.admit() {
		return nil, ErrGone
	}
	sent := make(chan error, 1)
	go func() {
		_, err := l.stdin.Write(append(request, '\n'))
		sent <- err
	}()
	reply, ok := l.line(l.replies)
	at := time.Now()
	l.served()
	if !ok {
		l.fail("the launcher ended, or closed descriptor 3, during a request")
		return nil, ErrDied
	}
	l.replied(at, sent)
	return reply, nil
}

// AwaitReady waits until the launcher can take a request. Errors: ErrGone with the
// reason, or that of ctx.
func (l *Launcher) AwaitReady(ctx context.Context) error {
	for {
		l.mu.Lock()
		now, changed, reason := l.state, l.changed, l.reason
		l.mu.Unlock()
		switch now {
		case idle:
			return nil
		case dead:
			return fmt.Errorf("%w: %s", ErrGone, reason)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Figures is what the launcher told with its last "ready", a JSON object; nil if nothing.
func (l *Launcher) Figures() json.RawMessage {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.figures
}

// BusyNs is the time from the last reply to ready; nil if there was none.
func (l *Launcher) BusyNs() *int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.busyNs
}

// HasReady tells whether the launcher speaks the ready protocol.
func (l *Launcher) HasReady() bool { return l.ready != nil }

// Close ends the launcher.
func (l *Launcher) Close() { l.fail("the proxy ended it") }

// admit moves from idle to running, unless the launcher is gone or spoke out of turn.
func (l *Launcher) admit() bool {
	if l.replies.disturbed() {
		l.fail("the launcher wrote to descriptor 3 without a request, or closed it")
		return false
	}
	if l.ready != nil && l.ready.disturbed() {
		l.fail("the launcher wrote to descriptor 4 without a reply, or closed it")
		return false
	}
	return l.move(idle, running)
}

// replied ends the request: idle, or restoring until the launcher says ready.
func (l *Launcher) replied(at time.Time, sent <-chan error) {
	_ = l.stdin.SetWriteDeadline(time.Now().Add(lastWords)) // replied without reading it all
	if err := <-sent; err != nil {
		l.fail("the launcher replied before it had read the request")
		return
	}
	_ = l.stdin.SetWriteDeadline(time.Time{})
	if l.ready == nil {
		l.move(running, idle)
		return
	}
	if l.move(running, restoring) {
		go l.restored(at)
	}
}

// restored waits for the launcher's word that the next request may come.
func (l *Launcher) restored(at time.Time) {
	line, ok := l.line(l.ready)
	busy := time.Since(at).Nanoseconds()
	figures, said := readiness(line)
	switch {
	case !ok:
		l.fail("the launcher ended, or closed descriptor 4, before it was ready again")
	case !said:
		l.fail(fmt.Sprintf("the launcher is not ready: %s", bytes.TrimSpace(line)))
	default:
		if err := l.advanced(); err != nil {
			l.fail(err.Error())
			return
		}
		l.mu.Lock()
		l.busyNs = &busy
		l.figures = figures
		l.mu.Unlock()
		l.move(restoring, idle)
	}
}

// readiness takes "ready" apart from the figures that may follow it.
func readiness(line []byte) (figures json.RawMessage, said bool) {
	rest, found := bytes.CutPrefix(line, []byte(readyWord))
	if !found || string(rest) == "\n" {
		return nil, found
	}
	figures = bytes.TrimSpace(rest)
	said = len(rest) > 0 && rest[0] == ' ' && len(figures) > 0 && figures[0] == '{' && json.Valid(figures)
	return figures, said
}

// line reads a line; false when the launcher ended or closed that descriptor first.
func (l *Launcher) line(from *lines) ([]byte, bool) {
	type result struct {
		line []byte
		err  error
	}
	read := make(chan result, 1)
	go func() {
		line, err := from.next()
		read <- result{line, err}
	}()
	select {
	case r := <-read:
		if r.err != nil { // most often because it ends: let us know how
			l.awaitEnd(lastWords)
		}
		return r.line, r.err == nil
	case <-l.child.Done():
		from.limit(lastWords) // descendants may hold the pipe open for ever
		r := <-read
		return r.line, r.err == nil
	}
}

func (l *Launcher) awaitEnd(limit time.Duration) {
	select {
	case <-l.child.Done():
	case <-time.After(limit):
	}
}

func (l *Launcher) watch() {
	<-l.child.Done()
	l.fail("the launcher ended")
}

// fail retires the launcher: it gets no request any more, and is killed with its group.
func (l *Launcher) fail(reason string) {
	l.mu.Lock()
	first := l.state != dead
	if first {
		l.reason = reason + l.ending()
		l.set(dead)
	}
	l.mu.Unlock()
	if first {
		l.child.Kill()
		_ = l.stdin.Close()
	}
}

func (l *Launcher) move(from, to state) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != from {
		return false
	}
	l.set(to)
	return true
}

func (l *Launcher) set(to state) {
	l.state = to
	close(l.changed)
	l.changed = make(chan struct{})
}
