#!/usr/bin/env bash
# Takes down what GPU Hunter needs in project my-project, command by command, as `gpuhunter bootstrap --destroy` does.
# That looks first and does only what is missing; here a command fails where its work is done already.
set -euo pipefail

# trigger gpu-hunter
gcloud scheduler jobs delete gpu-hunter --location=us-west2 --project=my-project --quiet

# role run.invoker of gpu-hunter
gcloud run jobs remove-iam-policy-binding gpu-hunter --region=us-west2 \
  --member=serviceAccount:gpu-hunter@my-project.iam.gserviceaccount.com --role=roles/run.invoker \
  --project=my-project

# Cloud Run job gpu-hunter
gcloud run jobs delete gpu-hunter --region=us-west2 --project=my-project --quiet

# workload identity of gpu-hunter
gcloud iam service-accounts remove-iam-policy-binding gpu-hunter@my-project.iam.gserviceaccount.com \
  '--member=serviceAccount:my-project.svc.id.goog[gpu-hunter/gpu-hunter]' \
  --role=roles/iam.workloadIdentityUser --project=my-project

# role compute.networkViewer of my-project.svc.id.goog[gke-mcs/gke-mcs-importer]
gcloud projects remove-iam-policy-binding my-project \
  '--member=serviceAccount:my-project.svc.id.goog[gke-mcs/gke-mcs-importer]' \
  --role=roles/compute.networkViewer --condition=None

# role container.admin of service-123456789012
gcloud projects remove-iam-policy-binding my-project \
  --member=serviceAccount:service-123456789012@gcp-sa-multiclusteringress.iam.gserviceaccount.com \
  --role=roles/container.admin --condition=None

# feature multiclusterservicediscovery
gcloud container fleet multi-cluster-services disable --project=my-project --quiet

# feature multiclusteringress
gcloud container fleet ingress disable --project=my-project --quiet

# membership europe-west4/gpu-europe-west4
gcloud container fleet memberships unregister gpu-europe-west4 --gke-cluster=europe-west4/gpu-europe-west4 \
  --location=europe-west4 --project=my-project

# membership us-central1/gpu-us-central1
gcloud container fleet memberships unregister gpu-us-central1 --gke-cluster=us-central1/gpu-us-central1 \
  --location=us-central1 --project=my-project

# membership us-west2/hunt-config
gcloud container fleet memberships unregister hunt-config --gke-cluster=us-west2/hunt-config \
  --location=us-west2 --project=my-project

# role storage.objectViewer of gpu-hunter-build
gcloud storage buckets remove-iam-policy-binding gs://my-project-gpu-hunter-build \
  --member=serviceAccount:gpu-hunter-build@my-project.iam.gserviceaccount.com \
  --role=roles/storage.objectViewer

# role artifactregistry.writer of gpu-hunter-build
gcloud artifacts repositories remove-iam-policy-binding gpu-hunter --location=us-west2 \
  --member=serviceAccount:gpu-hunter-build@my-project.iam.gserviceaccount.com \
  --role=roles/artifactregistry.writer --project=my-project

# bucket of the build
gcloud storage rm gs://my-project-gpu-hunter-build --recursive

# image repository gpu-hunter
gcloud artifacts repositories delete gpu-hunter --location=us-west2 --project=my-project --quiet

# address gpu-hunter
gcloud compute addresses delete gpu-hunter --global --project=my-project --quiet

# role logging.logWriter of gpu-hunter-build
gcloud projects remove-iam-policy-binding my-project \
  --member=serviceAccount:gpu-hunter-build@my-project.iam.gserviceaccount.com --role=roles/logging.logWriter \
  --condition=None

# role gpuHunter of gpu-hunter
gcloud projects remove-iam-policy-binding my-project \
  --member=serviceAccount:gpu-hunter@my-project.iam.gserviceaccount.com \
  --role=projects/my-project/roles/gpuHunter --condition=None

# role gpuHunter
gcloud iam roles delete gpuHunter --project=my-project --quiet

# service account gpu-hunter-build
gcloud iam service-accounts delete gpu-hunter-build@my-project.iam.gserviceaccount.com --project=my-project \
  --quiet

# service account gpu-hunter
gcloud iam service-accounts delete gpu-hunter@my-project.iam.gserviceaccount.com --project=my-project --quiet

# cluster europe-west4/gpu-europe-west4
gcloud container clusters delete gpu-europe-west4 --location=europe-west4 --project=my-project --quiet

# cluster us-central1/gpu-us-central1
gcloud container clusters delete gpu-us-central1 --location=us-central1 --project=my-project --quiet

# cluster us-west2/hunt-config
gcloud container clusters delete hunt-config --location=us-west2 --project=my-project --quiet
