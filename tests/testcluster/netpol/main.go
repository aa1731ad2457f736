// Command netpol decides which packets the test node's NetworkPolicies let pass.
//
// It is kube-network-policies without its own packet rules: those need the
// kernel's nft_queue, which small kernels lack. Whoever starts it sends it the
// packets instead, with an iptables NFQUEUE rule. It must not even try: when a
// chain on a hook goes, as it does where the rules that follow it are refused,
// the kernel drops every packet that waits in a queue, a new connection's first
// with them, and the client tries again only after a second.
//
// A limit: a pod is known by the address that the API server has for it, so
// what a pod sends in its first moments is nobody's, and passes.
package main

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
)

// A name that no table can have (nf_tables.h, NFT_TABLE_MAXNAMELEN): what would
// be put into the table is refused with it, from the first message on.
var noTable = strings.Repeat("none", 256/4)

func run(ctx context.Context, kubeconfig, node string, queue int) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	shared := informers.NewSharedInformerFactory(client, 0)
	controller, err := networkpolicy.NewController(
		client,
		shared.Networking().V1().NetworkPolicies(),
		shared.Core().V1().Namespaces(),
		shared.Core().V1().Pods(),
		nil, nil, nil, nil, // the admin policies' objects: not wanted
		networkpolicy.Config{QueueID: queue, NodeName: node, NFTableName: noTable},
	)
	if err != nil {
		return err
	}
	shared.Start(ctx.Done())
	return controller.Run(ctx)
}

func main() {
	klog.InitFlags(nil)
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig file")
	node := flag.String("node", "", "name of the node this runs on")
	queue := flag.Int("queue", 100, "number of the netfilter queue to read packets from")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *kubeconfig, *node, *queue); err != nil {
		klog.ErrorS(err, "netpol ended")
		os.Exit(1)
	}
}
