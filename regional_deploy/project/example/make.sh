#!/usr/bin/env bash
# Makes what GPU Hunter needs in project my-project, command by command, as `gpuhunter bootstrap --apply` does.
# That looks first and does only what is missing; here a command fails where its work is done already.
set -euo pipefail

# APIs
gcloud services enable artifactregistry.googleapis.com cloudbuild.googleapis.com cloudquotas.googleapis.com \
  cloudresourcemanager.googleapis.com cloudscheduler.googleapis.com compute.googleapis.com \
  container.googleapis.com containerfilesystem.googleapis.com gkehub.googleapis.com iam.googleapis.com \
  multiclusteringress.googleapis.com multiclusterservicediscovery.googleapis.com run.googleapis.com \
  serviceusage.googleapis.com storage.googleapis.com trafficdirector.googleapis.com --project=my-project

# cluster us-west2/hunt-config
gcloud container clusters create-auto hunt-config --location=us-west2 --project=my-project \
  --release-channel=regular --fleet-project=my-project --enable-dns-access --labels=gpu-hunter=bootstrap

# cluster us-central1/gpu-us-central1
gcloud container clusters create-auto gpu-us-central1 --location=us-central1 --project=my-project \
  --release-channel=regular --fleet-project=my-project --enable-dns-access --labels=gpu-hunter=bootstrap

# cluster europe-west4/gpu-europe-west4
gcloud container clusters create-auto gpu-europe-west4 --location=europe-west4 --project=my-project \
  --release-channel=regular --fleet-project=my-project --enable-dns-access --labels=gpu-hunter=bootstrap

# service account gpu-hunter
gcloud iam service-accounts create gpu-hunter '--display-name=GPU Hunter' \
  '--description=Made by gpuhunter bootstrap.' --project=my-project

# service account gpu-hunter-build
gcloud iam service-accounts create gpu-hunter-build '--display-name=GPU Hunter: builds of images' \
  '--description=Made by gpuhunter bootstrap.' --project=my-project

# role gpuHunter
gcloud iam roles create gpuHunter --project=my-project --file=regional_deploy/rbac/google-cloud-role.yaml

# role gpuHunter of gpu-hunter
gcloud projects add-iam-policy-binding my-project \
  --member=serviceAccount:gpu-hunter@my-project.iam.gserviceaccount.com \
  --role=projects/my-project/roles/gpuHunter --condition=None

# role logging.logWriter of gpu-hunter-build
gcloud projects add-iam-policy-binding my-project \
  --member=serviceAccount:gpu-hunter-build@my-project.iam.gserviceaccount.com --role=roles/logging.logWriter \
  --condition=None

# address gpu-hunter
gcloud compute addresses create gpu-hunter --global --project=my-project \
  '--description=Made by gpuhunter bootstrap.'

# image repository gpu-hunter
gcloud artifacts repositories create gpu-hunter --repository-format=docker --location=us-west2 \
  --project=my-project '--description=Made by gpuhunter bootstrap.' --labels=gpu-hunter=bootstrap

# bucket of the build
gcloud storage buckets create gs://my-project-gpu-hunter-build --location=us-west2 --project=my-project \
  --uniform-bucket-level-access --public-access-prevention
gcloud storage buckets update gs://my-project-gpu-hunter-build --update-labels=gpu-hunter=bootstrap

# role artifactregistry.writer of gpu-hunter-build
gcloud artifacts repositories add-iam-policy-binding gpu-hunter --location=us-west2 \
  --member=serviceAccount:gpu-hunter-build@my-project.iam.gserviceaccount.com \
  --role=roles/artifactregistry.writer --project=my-project

# role storage.objectViewer of gpu-hunter-build
gcloud storage buckets add-iam-policy-binding gs://my-project-gpu-hunter-build \
  --member=serviceAccount:gpu-hunter-build@my-project.iam.gserviceaccount.com \
  --role=roles/storage.objectViewer

# image of the reconciler
gcloud builds submit . --config=regional_deploy/project/cloudbuild.yaml --region=us-west2 \
  --project=my-project --gcs-source-staging-dir=gs://my-project-gpu-hunter-build/source \
  --service-account=projects/my-project/serviceAccounts/gpu-hunter-build@my-project.iam.gserviceaccount.com \
  --substitutions=_IMAGE=us-west2-docker.pkg.dev/my-project/gpu-hunter/reconciler,_VERSION=1.0.0

# membership us-west2/hunt-config
gcloud container fleet memberships describe hunt-config --location=us-west2 --project=my-project

# membership us-central1/gpu-us-central1
gcloud container fleet memberships describe gpu-us-central1 --location=us-central1 --project=my-project

# membership europe-west4/gpu-europe-west4
gcloud container fleet memberships describe gpu-europe-west4 --location=europe-west4 --project=my-project

# feature multiclusteringress
gcloud container fleet ingress enable \
  --config-membership=projects/my-project/locations/us-west2/memberships/hunt-config --project=my-project

# feature multiclusterservicediscovery
gcloud container fleet multi-cluster-services enable --project=my-project

# role container.admin of service-123456789012
gcloud projects add-iam-policy-binding my-project \
  --member=serviceAccount:service-123456789012@gcp-sa-multiclusteringress.iam.gserviceaccount.com \
  --role=roles/container.admin --condition=None

# role compute.networkViewer of my-project.svc.id.goog[gke-mcs/gke-mcs-importer]
gcloud projects add-iam-policy-binding my-project \
  '--member=serviceAccount:my-project.svc.id.goog[gke-mcs/gke-mcs-importer]' \
  --role=roles/compute.networkViewer --condition=None

# workload identity of gpu-hunter
gcloud iam service-accounts add-iam-policy-binding gpu-hunter@my-project.iam.gserviceaccount.com \
  '--member=serviceAccount:my-project.svc.id.goog[gpu-hunter/gpu-hunter]' \
  --role=roles/iam.workloadIdentityUser --project=my-project

# definitions in us-west2/hunt-config
gcloud container clusters get-credentials hunt-config --location=us-west2 --project=my-project --dns-endpoint
gpuhunter --project=my-project --config-cluster=us-west2/hunt-config crd |
  kubectl apply --server-side --field-manager=gpu-hunter --filename=-

# objects in us-west2/hunt-config
gcloud container clusters get-credentials hunt-config --location=us-west2 --project=my-project --dns-endpoint
gpuhunter --project=my-project --config-cluster=us-west2/hunt-config runner rights config-cluster |
  kubectl apply --server-side --field-manager=gpu-hunter --filename=-
kubectl apply --server-side --field-manager=gpu-hunter --filename=fleet.yaml

# objects in us-central1/gpu-us-central1
gcloud container clusters get-credentials gpu-us-central1 --location=us-central1 --project=my-project \
  --dns-endpoint
gpuhunter --project=my-project --config-cluster=us-west2/hunt-config runner rights member |
  kubectl apply --server-side --field-manager=gpu-hunter --filename=-

# objects in europe-west4/gpu-europe-west4
gcloud container clusters get-credentials gpu-europe-west4 --location=europe-west4 --project=my-project \
  --dns-endpoint
gpuhunter --project=my-project --config-cluster=us-west2/hunt-config runner rights member |
  kubectl apply --server-side --field-manager=gpu-hunter --filename=-

# Cloud Run job gpu-hunter
gpuhunter --project=my-project --config-cluster=us-west2/hunt-config runner job \
  --image=us-west2-docker.pkg.dev/my-project/gpu-hunter/reconciler:1.0.0 --region=us-west2 |
  gcloud run jobs replace - --region=us-west2 --project=my-project

# role run.invoker of gpu-hunter
gcloud run jobs add-iam-policy-binding gpu-hunter --region=us-west2 \
  --member=serviceAccount:gpu-hunter@my-project.iam.gserviceaccount.com --role=roles/run.invoker \
  --project=my-project

# trigger gpu-hunter
gcloud scheduler jobs create http gpu-hunter --project=my-project --location=us-west2 \
  '--description=Starts a pass of GPU Hunter.' '--schedule=* * * * *' --time-zone=Etc/UTC \
  --attempt-deadline=30s --max-retry-attempts=0 \
  --uri=https://run.googleapis.com/v2/projects/my-project/locations/us-west2/jobs/gpu-hunter:run \
  --http-method=post --oauth-service-account-email=gpu-hunter@my-project.iam.gserviceaccount.com \
  --oauth-token-scope=https://www.googleapis.com/auth/cloud-platform
