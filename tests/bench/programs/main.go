// Command yardstick is what Bokgu is measured beside: a controller-runtime controller that makes the writes that Bokgu
// makes for an Incident, and decides nothing.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// pattern is what the written objects look like, so that they are as large as Bokgu's.
type pattern struct {
	Spec           map[string]any `json:"spec"`
	PlanStatus     map[string]any `json:"planStatus"`
	IncidentStatus map[string]any `json:"incidentStatus"`
}

type recovery struct {
	client.Client
	pattern
	writes int
	notify string
}

func object(kind string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(schema.GroupVersionKind{Group: "bokgu.dev", Version: "v1alpha1", Kind: kind})
	return o
}

// Reconcile creates a plan for a new Incident, writes the plan's status as often as it takes, then the Incident's, and
// says so where it is asked to.
func (r *recovery) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	incident := object("Incident")
	if err := r.Get(ctx, request.NamespacedName, incident); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if phase, _, _ := unstructured.NestedString(incident.Object, "status", "phase"); phase != "" {
		return ctrl.Result{}, nil
	}
	plan := r.newPlan(incident)
	if err := r.Create(ctx, plan); err != nil {
		return ctrl.Result{}, err
	}
	for n := 1; n <= r.writes-2; n++ {
		status := deepCopy(r.PlanStatus)
		status["progress"] = strconv.Itoa(n)
		plan.Object["status"] = status
		if err := r.Status().Update(ctx, plan); err != nil {
			return ctrl.Result{}, err
		}
	}
	incident.Object["status"] = deepCopy(r.IncidentStatus)
	if err := r.Status().Update(ctx, incident); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, r.tell(ctx, incident)
}

func (r *recovery) newPlan(incident *unstructured.Unstructured) *unstructured.Unstructured {
	plan := object("RecoveryPlan")
	plan.SetNamespace(incident.GetNamespace())
	plan.SetName(incident.GetName())
	yes := true
	plan.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: incident.GetAPIVersion(), Kind: incident.GetKind(), Name: incident.GetName(), UID: incident.GetUID(),
		Controller: &yes,
	}})
	spec := deepCopy(r.Spec)
	spec["incidentRef"] = map[string]any{"name": incident.GetName(), "uid": string(incident.GetUID())}
	plan.Object["spec"] = spec
	return plan
}

// tell sends what Bokgu would send to Amazon ECS at the end.
func (r *recovery) tell(ctx context.Context, incident *unstructured.Unstructured) error {
	if r.notify == "" {
		return nil
	}
	service, _, _ := unstructured.NestedString(incident.Object, "spec", "serviceRef", "name")
	body, err := json.Marshal(map[string]any{"cluster": "bench", "service": service, "desiredCount": 5})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.notify, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113.UpdateService")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

func deepCopy(value map[string]any) map[string]any {
	return (&unstructured.Unstructured{Object: value}).DeepCopy().Object
}

func main() {
	ctrl.SetLogger(zap.New())
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	workers := flag.Int("workers", 8, "concurrent reconciles")
	writes := flag.Int("writes", 3, "writes to the API server an Incident, at least 3")
	notify := flag.String("notify", "", "URL of an Amazon ECS that is told at the end")
	like := flag.String("like", "", "JSON file of what the written objects look like; none: only hold everything in the cache")
	flag.Parse() // controller-runtime adds -kubeconfig

	config := ctrl.GetConfigOrDie()
	config.QPS = -1 // No limit: it is to be as fast as it can.
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Metrics:                metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress: "0",
		Client:                 client.Options{Cache: &client.CacheOptions{Unstructured: true}},
	})
	if err != nil {
		return err
	}
	ctx := ctrl.SetupSignalHandler()
	for _, kind := range []string{"Incident", "RecoveryPlan", "ProtectedService"} {
		if _, err := manager.GetCache().GetInformer(ctx, object(kind)); err != nil {
			return err
		}
	}
	if *like != "" {
		reconciler := &recovery{Client: manager.GetClient(), writes: *writes, notify: *notify}
		text, err := os.ReadFile(*like)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &reconciler.pattern); err != nil {
			return err
		}
		err = ctrl.NewControllerManagedBy(manager).Named("recovery").For(object("Incident")).
			WithOptions(controller.Options{MaxConcurrentReconciles: *workers}).Complete(reconciler)
		if err != nil {
			return err
		}
	}
	go func() {
		if manager.GetCache().WaitForCacheSync(ctx) {
			fmt.Println("ready")
		}
	}()
	return manager.Start(ctx)
}
