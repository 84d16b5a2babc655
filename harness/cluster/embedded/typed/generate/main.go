// Writes the types of the built-in kinds, one JSON document a line, from the Go types of k8s.io/api and the
// merge schema of k8s.io/client-go:  go run . > kinds.jsonl, and the field descriptions with -docs.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"sort"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/yaml"
)

type field struct {
	Name    string   `json:"n"`            // JSON name; empty when inline
	Tag     int      `json:"t,omitempty"`  // protobuf number
	Type    string   `json:"y"`            // scalar, [T], {T} or the name of a type
	Flags   string   `json:"f,omitempty"`  // p pointer, o omitempty, z omitzero, i inline
	Merge   string   `json:"m,omitempty"`  // patch strategy
	Key     string   `json:"k,omitempty"`  // patch merge key
	List    string   `json:"l,omitempty"`  // atomic, set or map (also g: granular is absent)
	MapKeys []string `json:"lk,omitempty"` // keys of a list of type map
	GoType  string   `json:"g,omitempty"`  // Go type, as messages of the JSON decoder name it
}

type typ struct {
	Name   string  `json:"name"`
	Go     string  `json:"go"`
	Atomic bool    `json:"atomic,omitempty"`
	GVK    string  `json:"gvk,omitempty"`
	Fields []field `json:"fields"`
}

var special = map[string]string{
	"k8s.io/apimachinery/pkg/apis/meta/v1.Time": "time", "k8s.io/apimachinery/pkg/apis/meta/v1.MicroTime": "microtime",
	"k8s.io/apimachinery/pkg/api/resource.Quantity": "quantity", "k8s.io/apimachinery/pkg/util/intstr.IntOrString": "intorstring",
	"k8s.io/apimachinery/pkg/runtime.RawExtension": "raw", "k8s.io/apimachinery/pkg/apis/meta/v1.FieldsV1": "fields",
	"k8s.io/apimachinery/pkg/apis/meta/v1.Duration":                                         "duration",
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSON":                         "json",
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrBool":        "schemaorbool",
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrArray":       "schemaorarray",
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrStringArray": "schemaorstrings",
}

var types = map[string]*typ{}
var goOf = map[string]reflect.Type{}

func modelName(t reflect.Type) string {
	if m, ok := reflect.New(t).Interface().(interface{ OpenAPIModelName() string }); ok {
		return m.OpenAPIModelName()
	}
	p := t.PkgPath()
	p = strings.TrimPrefix(p, "k8s.io/")
	return "io.k8s." + strings.ReplaceAll(p, "/", ".") + "." + t.Name()
}

func name(t reflect.Type) (string, bool) {
	ptr := false
	if t.Kind() == reflect.Ptr {
		ptr, t = true, t.Elem()
	}
	if s, ok := special[t.PkgPath()+"."+t.Name()]; ok {
		return s, ptr
	}
	switch t.Kind() {
	case reflect.String:
		return "string", ptr
	case reflect.Bool:
		return "bool", ptr
	case reflect.Int32:
		return "int32", ptr
	case reflect.Int64, reflect.Int:
		return "int64", ptr
	case reflect.Uint32, reflect.Uint64, reflect.Uint8:
		return "uint", ptr
	case reflect.Float64, reflect.Float32:
		return "double", ptr
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes", ptr
		}
		n, _ := name(t.Elem())
		return "[" + n + "]", ptr
	case reflect.Map:
		n, _ := name(t.Elem())
		return "{" + n + "}", ptr
	case reflect.Struct:
		walk(t)
		return modelName(t), ptr
	case reflect.Interface:
		return "json", ptr
	}
	panic(t.String())
}

func walk(t reflect.Type) {
	n := modelName(t)
	if _, ok := types[n]; ok {
		return
	}
	out := &typ{Name: n, Go: t.Name(), Fields: []field{}}
	types[n] = out
	goOf[n] = t
	for i := 0; i < t.NumField(); i++ {
		f := t.Field(i)
		if f.PkgPath != "" {
			continue
		}
		js := strings.Split(f.Tag.Get("json"), ",")
		if js[0] == "-" {
			continue
		}
		x := field{Name: js[0], Merge: f.Tag.Get("patchStrategy"), Key: f.Tag.Get("patchMergeKey")}
		y, ptr := name(f.Type)
		x.Type = y
		if ptr {
			x.Flags += "p"
		}
		for _, o := range js[1:] {
			switch o {
			case "omitempty":
				x.Flags += "o"
			case "omitzero":
				x.Flags += "z"
			case "inline":
				x.Flags += "i"
			}
		}
		if f.Anonymous && js[0] == "" && !strings.Contains(x.Flags, "i") {
			x.Flags += "i"
		}
		if g := strings.TrimPrefix(f.Type.String(), "*"); strings.Contains(g, ".") || true {
			x.GoType = g
		}
		if x.GoType == x.Type {
			x.GoType = ""
		}
		if f.Name == "TypeMeta" && f.Anonymous {
			continue
		}
		for k, p := range strings.Split(f.Tag.Get("protobuf"), ",") {
			if k == 1 {
				fmt.Sscanf(p, "%d", &x.Tag)
			}
		}
		out.Fields = append(out.Fields, x)
	}
}

func main() {
	docs := flag.Bool("docs", false, "write the descriptions")
	flag.Parse()
	apiextensionsv1.AddToScheme(scheme.Scheme)
	apiregistrationv1.AddToScheme(scheme.Scheme)
	groups := "|v1|apps/v1|authentication.k8s.io/v1|authorization.k8s.io/v1|autoscaling/v1|autoscaling/v2|batch/v1|certificates.k8s.io/v1|coordination.k8s.io/v1|discovery.k8s.io/v1|events.k8s.io/v1|networking.k8s.io/v1|node.k8s.io/v1|policy/v1|rbac.authorization.k8s.io/v1|scheduling.k8s.io/v1|storage.k8s.io/v1|admissionregistration.k8s.io/v1|flowcontrol.apiserver.k8s.io/v1|resource.k8s.io/v1|apiextensions.k8s.io/v1|apiregistration.k8s.io/v1|"
	meta := reflect.TypeOf(metav1.Status{}).PkgPath()
	var gvks []schema.GroupVersionKind
	for gvk := range scheme.Scheme.AllKnownTypes() {
		gvks = append(gvks, gvk)
	}
	sort.Slice(gvks, func(i, j int) bool { return gvks[i].String() < gvks[j].String() })
	for _, gvk := range gvks {
		t := scheme.Scheme.AllKnownTypes()[gvk]
		gv := gvk.GroupVersion().String()
		if !strings.Contains(groups, "|"+gv+"|") || (t.PkgPath() == meta && gvk.Kind != "DeleteOptions") || strings.HasSuffix(gvk.Kind, "List") || t.Kind() != reflect.Struct {
			continue
		}
		if t.PkgPath() == meta {
			walk(t)
			continue
		}
		walk(t)
		types[modelName(t)].GVK = gv + "/" + gvk.Kind
	}
	for _, t := range []interface{}{metav1.ListMeta{}, metav1.Status{}, metav1.PartialObjectMetadata{}, metav1.DeleteOptions{}, metav1.Table{}} {
		walk(reflect.TypeOf(t))
	}
	merge()
	names := []string{}
	for n := range types {
		names = append(names, n)
	}
	sort.Strings(names)
	w := bufio.NewWriter(os.Stdout)
	defer w.Flush()
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for _, n := range names {
		if !*docs {
			e.Encode(types[n])
			continue
		}
		if d, ok := reflect.New(goOf[n]).Elem().Interface().(interface{ SwaggerDoc() map[string]string }); ok {
			m := d.SwaggerDoc()
			m["$"] = n
			e.Encode(m)
		}
	}
}

type smdType struct {
	Name string `json:"name"`
	Map  struct {
		ElementRelationship string `json:"elementRelationship"`
		Fields              []struct {
			Name string  `json:"name"`
			Type smdElem `json:"type"`
		} `json:"fields"`
	} `json:"map"`
}
type smdElem struct {
	ElementRelationship string   `json:"elementRelationship"`
	NamedType           string   `json:"namedType"`
	List                *smdList `json:"list"`
	Map                 *struct {
		ElementRelationship string `json:"elementRelationship"`
	} `json:"map"`
}
type smdList struct {
	ElementRelationship string   `json:"elementRelationship"`
	Keys                []string `json:"keys"`
}

// merge adds what structured-merge-diff knows of lists and atomic things
func merge() {
	d, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/client-go").Output()
	if err != nil {
		panic(err)
	}
	src, err := os.ReadFile(strings.TrimSpace(string(d)) + "/applyconfigurations/internal/internal.go")
	if err != nil {
		panic(err)
	}
	text := strings.Split(string(src), "`")[1]
	var doc struct {
		Types []smdType `json:"types"`
	}
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		panic(err)
	}
	for _, s := range doc.Types {
		t := types[s.Name]
		if t == nil {
			continue
		}
		t.Atomic = s.Map.ElementRelationship == "atomic"
		rel := map[string]smdElem{}
		for _, f := range s.Map.Fields {
			rel[f.Name] = f.Type
		}
		for i := range t.Fields {
			f := &t.Fields[i]
			r, ok := rel[f.Name]
			if !ok {
				continue
			}
			if r.List != nil {
				f.List = "set"
				if r.List.ElementRelationship == "atomic" {
					f.List = "atomic"
				} else if len(r.List.Keys) > 0 {
					f.List, f.MapKeys = "map", r.List.Keys
				}
			}
			if r.Map != nil && r.Map.ElementRelationship == "atomic" || r.ElementRelationship == "atomic" {
				f.List = "atomic"
			}
		}
	}
	// The merge schema of client-go leaves these two groups out; their types say it in comments.
	for _, n := range []string{"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionStatus", "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIServiceStatus"} {
		for i := range types[n].Fields {
			if f := &types[n].Fields[i]; f.Name == "conditions" {
				f.List, f.MapKeys = "map", []string{"type"}
			}
		}
	}
}
