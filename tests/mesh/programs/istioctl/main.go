// Command istioctl is the unmodified Istio command line, built from its Go module; the rig uses `analyze`.
package main

import (
	"fmt"
	"os"

	"istio.io/istio/istioctl/cmd"
)

func main() {
	if err := cmd.ConfigAndEnvProcessing(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := cmd.GetRootCmd(os.Args[1:]).Execute(); err != nil {
		// The exit code tells findings apart from failures, so keep istioctl's own.
		os.Exit(cmd.GetExitCode(err))
	}
}
