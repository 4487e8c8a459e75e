// Command workload-controllers runs the unmodified controllers of Deployments, ReplicaSets and EndpointSlices in one namespace, built from
// the Go module of Kubernetes. It is the part of kube-controller-manager that progressive delivery needs.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/kubernetes/pkg/controller/deployment"
	"k8s.io/kubernetes/pkg/controller/endpointslice"
	"k8s.io/kubernetes/pkg/controller/replicaset"
)

const (
	workers = 2
	// These two are the defaults of kube-controller-manager.
	burst                = replicaset.BurstReplicas
	maxEndpointsPerSlice = 100
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "the file that names the API server")
	namespace := flag.String("namespace", "", "the only namespace")
	except := flag.String("except", "", "the names of Deployments and Services that are left alone, separated by commas")
	flag.Parse()
	if err := run(*kubeconfig, *namespace, *except); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(kubeconfig, namespace, except string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 100, 200
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()

	workloads := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = without(except) }))
	nodes := informers.NewSharedInformerFactory(client, 0)
	apps, core := workloads.Apps().V1(), workloads.Core().V1()
	deployments, err := deployment.NewDeploymentController(ctx, apps.Deployments(), apps.ReplicaSets(), core.Pods(), client)
	if err != nil {
		return err
	}
	replicaSets := replicaset.NewReplicaSetController(ctx, apps.ReplicaSets(), core.Pods(), client, burst)
	slices := endpointslice.NewController(ctx, core.Pods(), core.Services(), nodes.Core().V1().Nodes(),
		workloads.Discovery().V1().EndpointSlices(), maxEndpointsPerSlice, client, 0)
	workloads.Start(ctx.Done())
	nodes.Start(ctx.Done())
	go deployments.Run(ctx, workers)
	go replicaSets.Run(ctx, workers)
	slices.Run(ctx, workers)
	return nil
}

// without is the field selector of objects with other names than these.
func without(names string) string {
	if names == "" {
		return ""
	}
	return "metadata.name!=" + strings.ReplaceAll(names, ",", ",metadata.name!=")
}
