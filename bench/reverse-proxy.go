// Go's httputil.ReverseProxy, one of the benchmark's proxies: reverse-proxy ADDRESS TARGET
package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
)

func main() {
	target, err := url.Parse(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// The default keeps two idle connections: under load most requests would dial.
	transport.MaxIdleConns = 0
	transport.MaxIdleConnsPerHost = 1024
	transport.DisableCompression = true // bodies pass as they are

	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = transport
	proxy.ErrorLog = log.New(io.Discard, "", 0) // clients that leave at the end of a round
	log.Fatal(http.ListenAndServe(os.Args[1], proxy))
}
