# Prints DeLong's figures of two models' columns of a CSV file (truth, a, b): proc.R FILE
suppressMessages(library(pROC))
rows <- read.csv(commandArgs(trailingOnly = TRUE)[1])
curve <- function(scores) roc(rows$truth, scores, direction = "<", levels = c(0, 1), quiet = TRUE)
a <- curve(rows$a)
b <- curve(rows$b)
test <- roc.test(a, b, method = "delong", paired = TRUE)
figures <- c(auc(a), auc(b), sqrt(var(a, method = "delong")), sqrt(var(b, method = "delong")), test$statistic)
cat(sprintf("%.15g", figures), sep = "\n")
