// CoreDNS with the four plugins that the test cluster's Corefile names. The usual 60 plugins bring the clients of
// every cloud along, which take longer to fetch and to compile than all that is used here.
package main

import (
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"

	"github.com/coredns/coredns/coremain"
)

func main() {
	coremain.Run()
}
