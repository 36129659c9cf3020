package server

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"

	"rewind-bench/proxy/launcher"
)

type initRequest struct {
	Value struct {
		Name   string                     `json:"name"`
		Main   string                     `json:"main"`
		Code   string                     `json:"code"`
		Binary bool                       `json:"binary"`
		Env    map[string]json.RawMessage `json:"env"`
	} `json:"value"`
}

func (p *Proxy) handleInit(w http.ResponseWriter, r *http.Request) {
	if !onlyPost(w, r) {
		return
	}
	p.initOnce.Lock()
	defer p.initOnce.Unlock()
	if p.current() != nil {
		refuse(w, http.StatusForbidden, "Cannot initialize the action more than once.")
		return
	}
	request, code, ok := readInit(w, r)
	if !ok {
		return
	}
	env := launcherEnv(p.settings.Environ, request.Value.Env)
	executable, err := p.builder().Build(code, request.Value.Main, env)
	if err != nil {
		p.refuseInit(w, err.Error(), err,
			"The action failed to generate or locate a binary. See logs for details.")
		return
	}
	started, err := launcher.Start(launcher.Config{
		Executable: executable,
		Env:        env,
		Stdout:     p.settings.Stdout,
		Stderr:     p.settings.Stderr,
		Ack:        wantsAck(p.settings.Environ),
		Ready:      wantsReady(p.settings.Environ),
		Generation: p.settings.Generation,
		Served:     p.sentinels,
	}, p.reaper)
	if err != nil {
		p.refuseInit(w, "cannot start action: "+err.Error(), err,
			"Cannot start action. Check logs for details.")
		return
	}
	p.adopt(started)
	answer(w, http.StatusOK, map[string]bool{"ok": true})
}

// readInit decodes the request, or answers why it cannot be.
func readInit(w http.ResponseWriter, r *http.Request) (request initRequest, code []byte, ok bool) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return request, nil, false
	}
	if err := json.Unmarshal(body, &request); err != nil {
		refuse(w, http.StatusBadRequest, "Error unmarshaling request: "+err.Error())
		return request, nil, false
	}
	if request.Value.Code == "" {
		refuse(w, http.StatusForbidden, "Missing main/no code to execute.")
		return request, nil, false
	}
	if request.Value.Main == "" {
		request.Value.Main = "main"
	}
	code = []byte(request.Value.Code)
	if request.Value.Binary {
		if code, err = base64.StdEncoding.DecodeString(request.Value.Code); err != nil {
			refuse(w, http.StatusBadRequest, "cannot decode the request: "+err.Error())
			return request, nil, false
		}
	}
	return request, code, true
}

// refuseInit answers 502 with the reason, or with general words and the reason in the log.
func (p *Proxy) refuseInit(w http.ResponseWriter, reason string, cause error, general string) {
	if p.settings.ReasonToLog {
		_, _ = p.settings.Stderr.WriteString(cause.Error() + "\n")
		p.sentinels()
		reason = general
	}
	refuse(w, http.StatusBadGateway, reason)
}
