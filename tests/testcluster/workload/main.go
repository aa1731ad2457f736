// Command workload is a small web application that says who it is.
//
// It is what the tests put into users' pods: nothing but the standard library,
// one static binary, an image of a few megabytes. `workload pause` does nothing
// until it is told to end, which is all that a pod's sandbox has to do.
//
//	GET  /             JSON: hostname, name and user (of the environment), path, client address
//	GET  /headers      JSON: the request's headers as they arrived
//	GET  /events       server-sent events: ?count=10&interval=100ms
//	POST /upload       reads the body; JSON: its size and SHA-256
//	GET  /download     ?bytes=N zero bytes
//	GET  /slow         answers after ?delay=1s
//	GET  /ws           WebSocket: every message comes back; the first one says who it is
//	GET  /healthz      ok
//
// A request that the router meant for another user than this pod's is refused
// with 421.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

type identity struct {
	Hostname string `json:"hostname"`
	Name     string `json:"name"`
	User     string `json:"user"`
	Path     string `json:"path"`
	Host     string `json:"host"`
	Remote   string `json:"remote"`
}

func whoAmI(r *http.Request) identity {
	hostname, _ := os.Hostname()
	return identity{
		Hostname: hostname,
		Name:     os.Getenv("USERPODS_NAME"),
		User:     os.Getenv("USERPODS_USER"),
		Path:     r.URL.RequestURI(),
		Host:     r.Host,
		Remote:   r.RemoteAddr,
	}
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

func events(w http.ResponseWriter, r *http.Request) {
	count, interval := 10, 100*time.Millisecond
	if n, err := strconv.Atoi(r.FormValue("count")); err == nil {
		count = n
	}
	if d, err := time.ParseDuration(r.FormValue("interval")); err == nil {
		interval = d
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	for i := range count {
		fmt.Fprintf(w, "id: %d\ndata: %s %d\n\n", i, whoAmI(r).Hostname, time.Now().UnixMilli())
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(interval):
		}
	}
}

func upload(w http.ResponseWriter, r *http.Request) {
	digest := sha256.New()
	size, err := io.Copy(digest, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer(w, map[string]any{
		"bytes": size, "sha256": hex.EncodeToString(digest.Sum(nil)), "hostname": whoAmI(r).Hostname,
	})
}

func download(w http.ResponseWriter, r *http.Request) {
	size, err := strconv.ParseInt(r.FormValue("bytes"), 10, 64)
	if err != nil || size < 0 {
		http.Error(w, "bytes=N is needed", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	block := make([]byte, 64<<10)
	for size > 0 {
		n, err := w.Write(block[:min(size, int64(len(block)))])
		if err != nil {
			return
		}
		size -= int64(n)
	}
}

func slow(w http.ResponseWriter, r *http.Request) {
	delay, err := time.ParseDuration(r.FormValue("delay"))
	if err != nil {
		delay = time.Second
	}
	select {
	case <-time.After(delay):
		answer(w, whoAmI(r))
	case <-r.Context().Done():
	}
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { answer(w, whoAmI(r)) })
	mux.HandleFunc("/headers", func(w http.ResponseWriter, r *http.Request) { answer(w, r.Header) })
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/events", events)
	mux.HandleFunc("/upload", upload)
	mux.HandleFunc("/download", download)
	mux.HandleFunc("/slow", slow)
	mux.HandleFunc("/ws", webSocket)
	return onlyFor(os.Getenv("USERPODS_USER"), mux)
}

// onlyFor refuses what the router meant for somebody else's pod: an application
// should not rely on the network alone.
func onlyFor(owner string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, err := url.PathUnescape(r.Header.Get("X-Userpods-User"))
		if err != nil || owner != "" && user != "" && user != owner {
			http.Error(w, "this is another user's pod", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serve answers until ctx ends and then lets the requests that it has come to
// their end, so that a pod that is rolled drops none of them.
func serve(ctx context.Context) error {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8000"
	}
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(grace)
	}()
	log.Printf("listening on %s", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// fetch prints what a URL answers, for tests inside a pod: the image has no curl.
func fetch(url string) error {
	client := http.Client{Timeout: 3 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) == 2 && os.Args[1] == "pause" {
		<-ctx.Done()
		return
	}
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "fetch":
		err = fetch(os.Args[2])
	case len(os.Args) == 3 && os.Args[1] == "resolve":
		var addresses []string
		addresses, err = net.DefaultResolver.LookupHost(ctx, os.Args[2])
		fmt.Println(addresses)
	default:
		err = serve(ctx)
	}
	if err != nil {
		log.Fatal(err)
	}
}
