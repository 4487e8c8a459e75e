// Command apiserver is the unmodified kube-apiserver, built from its Go module
// because no registry this project builds from has it as a binary.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	os.Exit(cli.Run(app.NewAPIServerCommand()))
}
