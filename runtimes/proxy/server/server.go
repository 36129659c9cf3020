// Package server is the HTTP side of the action proxy: /init, /run and /ready,
// with the status codes and words of OpenWhisk's own proxy.
package server

import (
	"encoding/json"
	"net/http"
	"os"
	"sync"

	"rewind-bench/proxy/action"
	"rewind-bench/proxy/launcher"
	"rewind-bench/proxy/reaper"
)

// Sentinel ends the log of one request on each of stdout and stderr.
const Sentinel = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n"

// Version is what launchers see as __OW_PROXY_VERSION.
const Version = "rewind-bench-1"

// Settings of a proxy, from the container's environment.
type Settings struct {
	// Folder below which actions are unpacked, Compiler their compile step ("" for none).
	Folder, Compiler string
	// Environ is the container's environment, as of os.Environ.
	Environ []string
	// ReasonToLog writes why an init failed to the log instead of into the answer.
	ReasonToLog bool
	// Generation proves that the launcher was restored; nil for schemes without such a proof.
	Generation     launcher.Generation
	Stdout, Stderr *os.File
}

// Proxy serves one action.
type Proxy struct {
	settings Settings
	reaper   *reaper.Reaper
	initOnce sync.Mutex // one init at a time

	mu       sync.Mutex
	launcher *launcher.Launcher // nil until initialised
}

// New makes a proxy without an action.
func New(settings Settings, r *reaper.Reaper) *Proxy {
	return &Proxy{settings: settings, reaper: r}
}

// Handler serves the proxy's paths.
func (p *Proxy) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/init", p.handleInit)
	mux.HandleFunc("/run", p.handleRun)
	mux.HandleFunc("/ready", p.handleReady)
	return mux
}

// Close ends the launcher, if there is one.
func (p *Proxy) Close() {
	if l := p.current(); l != nil {
		l.Close()
	}
}

func (p *Proxy) current() *launcher.Launcher {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.launcher
}

func (p *Proxy) adopt(l *launcher.Launcher) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.launcher = l
}

func (p *Proxy) builder() *action.Builder {
	return &action.Builder{
		Folder:   p.settings.Folder,
		Compiler: p.settings.Compiler,
		Reaper:   p.reaper,
		Log:      p.settings.Stderr,
	}
}

// sentinels mark the end of a request's log.
func (p *Proxy) sentinels() {
	_, _ = p.settings.Stdout.WriteString(Sentinel)
	_, _ = p.settings.Stderr.WriteString(Sentinel)
}

func answer(w http.ResponseWriter, status int, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		status, encoded = http.StatusInternalServerError, []byte(`{"error":"cannot encode the answer"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(encoded, '\n'))
}

func refuse(w http.ResponseWriter, status int, reason string) {
	answer(w, status, map[string]string{"error": reason})
}

// onlyPost answers 405 to any other method.
func onlyPost(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodPost {
		return true
	}
	w.Header().Set("Allow", http.MethodPost)
	refuse(w, http.StatusMethodNotAllowed, "only POST is allowed")
	return false
}
