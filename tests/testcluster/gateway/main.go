// Command gateway is a reverse proxy that keeps its connections to the router and uses them for
// everybody, as the gateways of many sites do.
//
// With -pool=go the connections are those of Go's own http.Transport, which drops one on which
// bytes arrive that nobody asked for. With -pool=trusting they are ours, and nothing is checked:
// the connection that was used last is used next, by whoever comes, and what was read too much is
// the beginning of the next answer.
//
// The header X-Client-Port tells the pod over which of the clients' connections a request came.
package main

import (
	"flag"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"
)

func main() {
	plain := flag.String("listen", "127.0.0.1:0", "where to listen for HTTP/1.1")
	secure := flag.String("tls", "", "where to listen for HTTP/2 and HTTP/1.1 with TLS")
	certificate := flag.String("certificate", "", "the certificate for -tls")
	key := flag.String("key", "", "its key")
	router := flag.String("router", "", "host:port of the router")
	pool := flag.String("pool", "go", "go or trusting")
	flag.Parse()

	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: *router})
			r.Out.Host = r.In.Host
			r.SetXForwarded()
			_, port, _ := net.SplitHostPort(r.In.RemoteAddr)
			r.Out.Header.Set("X-Client-Port", port)
		},
		FlushInterval: -1,
		ErrorLog:      log.New(os.Stderr, "", log.LstdFlags),
	}
	switch *pool {
	case "go":
		proxy.Transport = &http.Transport{
			MaxIdleConnsPerHost: 1,
			IdleConnTimeout:     time.Minute,
			DisableCompression:  true,
		}
	case "trusting":
		proxy.Transport = &trustingPool{router: *router}
	default:
		log.Fatalf("no pool is called %q", *pool)
	}
	failed := make(chan error)
	go func() { failed <- http.ListenAndServe(*plain, proxy) }()
	if *secure != "" {
		go func() { failed <- http.ListenAndServeTLS(*secure, *certificate, *key, proxy) }()
	}
	log.Fatal(<-failed)
}
