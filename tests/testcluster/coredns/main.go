// Command coredns answers DNS questions inside the test cluster.
package main

import (
	_ "github.com/coredns/coredns/core/plugin" // every plugin that CoreDNS comes with
	"github.com/coredns/coredns/coremain"
)

func main() { coremain.Run() }
