package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"rewind-bench/proxy/launcher"
)

// handleRun passes one request to the launcher. 500 always means that the request
// never reached it; 400 "command exited" that it did.
func (p *Proxy) handleRun(w http.ResponseWriter, r *http.Request) {
	if !onlyPost(w, r) {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("Error reading request body: %v", err))
		return
	}
	l := p.current()
	if l == nil {
		refuse(w, http.StatusInternalServerError, "no action defined yet")
		return
	}
	reply, err := l.Interact(r.Context(), bytes.ReplaceAll(body, []byte("\n"), nil))
	switch {
	case errors.Is(err, launcher.ErrDied):
		refuse(w, http.StatusBadRequest, "command exited")
	case errors.Is(err, launcher.ErrGone):
		refuse(w, http.StatusInternalServerError, "command exited")
	case err != nil: // the client went away while the request waited: nobody reads this
		refuse(w, http.StatusServiceUnavailable, "the request was given up")
	case !dictionaryOrArray(reply):
		refuse(w, http.StatusBadGateway, "The action did not return a dictionary or array.")
	default:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", fmt.Sprint(len(reply)))
		_, _ = w.Write(reply)
	}
}

func dictionaryOrArray(reply []byte) bool {
	start := bytes.TrimLeft(reply, " \t\r")
	return len(start) > 0 && (start[0] == '{' || start[0] == '[') && json.Valid(reply)
}

// handleReady answers when the launcher can take a request (at once without the
// ready protocol): how long it was busy after its last reply, or why it never will be.
func (p *Proxy) handleReady(w http.ResponseWriter, r *http.Request) {
	type readiness struct {
		Ready  bool   `json:"ready"`
		BusyNs *int64 `json:"busy_ns"`
		// What the launcher told of its restore, if anything.
		Restore json.RawMessage `json:"restore,omitempty"`
	}
	l := p.current()
	if l == nil || !l.HasReady() {
		answer(w, http.StatusOK, readiness{Ready: true})
		return
	}
	if err := l.AwaitReady(r.Context()); err != nil {
		refuse(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	answer(w, http.StatusOK, readiness{Ready: true, BusyNs: l.BusyNs(), Restore: l.Figures()})
}
